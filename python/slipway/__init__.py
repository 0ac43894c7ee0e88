"""Client of a Slipway server.

    import slipway
    client = slipway.Client("http://127.0.0.1:8080")
    client.predict("churn", {"tenure": 3, "plan": "basic"})["label"]
    client.export_predictions("churn", "churn.parquet", since=timedelta(days=1))

Standard library only; `pyarrow` is needed for Parquet and nothing else.
"""
from .client import Client
from .errors import ConnectionFailed, Held, SlipwayError

__all__ = ["Client", "ConnectionFailed", "Held", "SlipwayError"]
