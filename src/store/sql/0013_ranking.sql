-- What a labelled answer is ranked within (query, basket): rows of one group are compared with one
-- another. Empty: its model is no ranking.
ALTER TABLE predicted ADD COLUMN rank_group TEXT NOT NULL DEFAULT '';
