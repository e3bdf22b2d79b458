"""The paper's figures and tables: 1 and 2 drawn by code, 3 and the tables from results on disk."""
