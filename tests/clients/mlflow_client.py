"""mlflow_client.py PORT FIELDS ROWS - MLflow's client of a scoring server; prints one JSON line."""
import json
import sys

import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

port, fields, rows = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
client = ScoringServerClient("127.0.0.1", int(port))
client.ping()
frame = pd.DataFrame(rows, columns=fields)
answer = client.invoke(frame).get_predictions("ndarray").ravel().tolist()
print(json.dumps({"version": client.get_version(), "predictions": answer}))
