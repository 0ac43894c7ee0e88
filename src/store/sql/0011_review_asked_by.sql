-- 0011_review_asked_by - whose request an item holds: its caller, and no other, may ask what became of
-- it. '' where nobody waits, and for items that were held before it was noted.

ALTER TABLE review_items ADD COLUMN asked_by TEXT NOT NULL DEFAULT '';
