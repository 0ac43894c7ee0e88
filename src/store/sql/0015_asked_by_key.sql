-- 0015_asked_by_key - what is held for a key is held for this key, and for no later one of its name.
--
-- asked_by was 'key:NAME' and is 'key:ID' now. Items get the key that had the name when they were
-- held; where it is gone, whoever may read review items still can.

UPDATE review_items
SET asked_by = 'key:' || (
    SELECT k.id FROM api_keys k
    WHERE k.name = substr(review_items.asked_by, 5) AND k.created_us <= review_items.created_us
    ORDER BY k.created_us DESC LIMIT 1)
WHERE asked_by LIKE 'key:%' AND EXISTS (
    SELECT 1 FROM api_keys k
    WHERE k.name = substr(review_items.asked_by, 5) AND k.created_us <= review_items.created_us);
