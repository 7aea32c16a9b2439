"""Sessions, dispatch, one handler file per API, and the composition root of a broker."""
