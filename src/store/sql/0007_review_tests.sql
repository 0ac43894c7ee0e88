-- 0007_review_tests - how many rows of a review data set are on its test side.

ALTER TABLE review_datasets ADD COLUMN test_count BIGINT NOT NULL DEFAULT 0;
