"""The revisions, numbered. A revision that was released is never edited."""
