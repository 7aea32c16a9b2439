"""Client settings and admin helpers over confluent-kafka. No producer or group client of our own."""
