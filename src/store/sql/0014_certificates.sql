-- Keys whose proof is a client's certificate: whom it names, such as uri:spiffe://example.org/shop.
-- Empty: the key has a secret.
ALTER TABLE api_keys ADD COLUMN certificate TEXT NOT NULL DEFAULT '';
