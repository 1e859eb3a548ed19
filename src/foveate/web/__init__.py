"""Accounts, sessions, limits and error answers for a server, and the browser modules that all pages share."""
