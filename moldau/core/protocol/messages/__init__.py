"""One module per API: its request and its response, declared. No behaviour here."""
