"""A PostgreSQL server that Tandem starts and stops itself, for machines without one (`POSTGRES_URL=embedded`)."""
