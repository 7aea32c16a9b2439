"""Each client produces and consumes with each codec; and what one wrote, another reads."""

from __future__ import annotations

import pytest

from tests.support.clients import CLIENTS, CODECS, Client, Confluent, Java, monotonic
from tests.support.process import BrokerProcess

# Printable and without line ends, so that kcat can carry them; compressible; from nothing to several KB.
VALUES = [b"record %d " % number + b"abcdefgh" * (number % 600) for number in range(300)]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("client_class", CLIENTS, ids=lambda client_class: client_class.name)
def test_a_client_reads_what_it_wrote_and_so_does_another(
    client_class: type[Client], codec: str, broker: BrokerProcess, new_topic
) -> None:
    client_class.need()
    client = client_class(broker.bootstrap)
    topic = new_topic()
    values = monotonic(300) if client_class is Java else VALUES
    client.produce(topic, values, codec)
    assert client.consume(topic, len(values)) == values
    if client_class is not Confluent:
        assert Confluent(broker.bootstrap).consume(topic, len(values)) == values


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("reader", [client for client in CLIENTS if client not in (Confluent, Java)])
def test_every_client_reads_what_librdkafka_wrote(
    reader: type[Client], codec: str, broker: BrokerProcess, new_topic
) -> None:
    reader.need()
    topic = new_topic()
    Confluent(broker.bootstrap).produce(topic, VALUES, codec)
    assert reader(broker.bootstrap).consume(topic, len(VALUES)) == VALUES


def test_a_topic_comes_into_being_when_a_client_first_names_it(broker: BrokerProcess) -> None:
    client = Confluent(broker.bootstrap)
    client.produce("made-on-demand", VALUES, "none")
    assert client.consume("made-on-demand", len(VALUES)) == VALUES
