"""Checks a server by Triton's and KServe's gRPC clients; one that is not installed is skipped.

The prices must be those of the same server over HTTP, every bit. --fields is a JSON file of
the messages' fields, which must be those of the clients' own descriptors.
"""

import argparse
import asyncio
import json
import queue
import sys
import urllib.request

import numpy as np

p = argparse.ArgumentParser()
p.add_argument("--url", required=True, help="HOST:PORT of gRPC")
p.add_argument("--rest", required=True, help="http://HOST:PORT of HTTP")
p.add_argument("--key", default="")
p.add_argument("--fields", required=True)
a = p.parse_args()
HEADERS = {"authorization": "Bearer " + a.key} if a.key else {}
MODEL, USERS, OUTPUT = "basket-features", "basket", "predicted_price"
ROWS = np.array([[94.61, 15, 0, 0], [3.7, 2, 1, 1], [0.1, 0.2, 0.3, 0.4]])
bad = 0


def check(name, ok, text=""):
    global bad
    bad += not ok
    print(("ok   " if ok else "FAIL ") + name + ("" if ok else " " + str(text)))


def rest(model, tensor):
    request = urllib.request.Request(f"{a.rest}/v2/models/{model}/infer", json.dumps({"inputs": [tensor]}).encode())
    with urllib.request.urlopen(request) as answer:
        return np.array(json.load(answer)["outputs"][0]["data"])


def prices(datatype, rows):
    return rest(MODEL, {"name": "features", "datatype": datatype, "shape": list(rows.shape), "data": rows.ravel().tolist()})


def equal(got, want):
    return got.dtype == np.float64 and got.tobytes() == want.tobytes()


def same_fields(client, file):
    """The fields of our messages are those of the client's, by name, number and type."""
    for name, fields in json.load(open(a.fields)).items():
        message = file.message_types_by_name.get(name.split(".")[1])
        for part in name.split(".")[2:]:
            message = message.nested_types_by_name[part]
        theirs = {f.name: [f.number, f.type, f.is_repeated if hasattr(f, "is_repeated") else f.label == f.LABEL_REPEATED] for f in message.fields}
        if message.name == "InferParameter":  # which had fewer kinds in the past
            fields = {n: f for n, f in fields.items() if n in theirs}
        wrong = {n: (f, theirs.get(n)) for n, f in fields.items() if theirs.get(n) != f}
        check(f"{client}: fields of {name}", not wrong, wrong)


def triton():
    try:
        import tritonclient.grpc as tc
        from tritonclient.grpc import service_pb2
        from tritonclient.utils import InferenceServerException
    except ImportError:
        print("skip triton: not installed")
        return
    # Triton's messages are in the file grpc_service.proto, with more fields.
    same_fields("triton", service_pb2.DESCRIPTOR)
    c = tc.InferenceServerClient(a.url)

    def infer(datatype, rows, **options):
        i = tc.InferInput("features", list(rows.shape), datatype)
        i.set_data_from_numpy(rows)
        return c.infer(MODEL, [i], headers=HEADERS, **options)

    check("triton: live", c.is_server_live(headers=HEADERS))
    check("triton: ready", c.is_server_ready(headers=HEADERS))
    check("triton: model ready", c.is_model_ready(MODEL, headers=HEADERS))
    check("triton: model version ready", c.is_model_ready(MODEL, "1", headers=HEADERS))
    check("triton: server metadata", c.get_server_metadata(headers=HEADERS).name == "basket")
    m = c.get_model_metadata(MODEL, headers=HEADERS)
    check("triton: model metadata", m.name == MODEL and list(m.versions) == ["2", "1"] and m.inputs[0].datatype == "FP64" and list(m.inputs[0].shape) == [-1, 4], m)
    for datatype, kind in (("FP64", np.float64), ("FP32", np.float32), ("INT64", np.int64), ("INT32", np.int32)):
        rows = ROWS.astype(kind)
        check(f"triton: {datatype}, 3 rows", equal(infer(datatype, rows).as_numpy(OUTPUT), prices(datatype, rows)))
        check(f"triton: {datatype}, 1 row", equal(infer(datatype, rows[:1]).as_numpy(OUTPUT), prices(datatype, rows[:1])))
    check("triton: 10,000 rows", equal(infer("FP64", np.tile(ROWS, (3334, 1))[:10000]).as_numpy(OUTPUT), prices("FP64", np.tile(ROWS, (3334, 1))[:10000])))
    check("triton: id and version", (lambda r: r.id == "q7" and r.model_version == "1")(infer("FP64", ROWS, request_id="q7", model_version="1").get_response()))
    check("triton: asked output", equal(infer("FP64", ROWS, outputs=[tc.InferRequestedOutput(OUTPUT)]).as_numpy(OUTPUT), prices("FP64", ROWS)))
    check("triton: gzip", equal(infer("FP64", ROWS, compression_algorithm="gzip").as_numpy(OUTPUT), prices("FP64", ROWS)))
    user = tc.InferInput("user_id", [2], "BYTES")
    user.set_data_from_numpy(np.array(["abc123", "abc123"], dtype=object))
    want = rest(USERS, {"name": "user_id", "datatype": "BYTES", "shape": [2], "data": ["abc123", "abc123"]})
    check("triton: BYTES", equal(c.infer(USERS, [user], headers=HEADERS).as_numpy(OUTPUT), want))
    answers = queue.Queue()
    for _ in range(4):
        i = tc.InferInput("features", list(ROWS.shape), "FP64")
        i.set_data_from_numpy(ROWS)
        c.async_infer(MODEL, [i], lambda result, error: answers.put(error or equal(result.as_numpy(OUTPUT), prices("FP64", ROWS))), headers=HEADERS)
    got = [answers.get(timeout=30) for _ in range(4)]
    check("triton: async", got == [True] * 4, got)

    def fails(name, code, text, f):
        try:
            f()
            check(name, False, "no error")
        except InferenceServerException as e:
            check(name, e.status() == "StatusCode." + code and text in e.message(), e)

    nobody = tc.InferInput("user_id", [1], "BYTES")
    nobody.set_data_from_numpy(np.array(["no such user"], dtype=object))
    fails("triton: unknown user", "NOT_FOUND", "user not found", lambda: c.infer(USERS, [nobody], headers=HEADERS))
    fails("triton: unknown version", "NOT_FOUND", "no version", lambda: infer("FP64", ROWS, model_version="9"))
    fails("triton: wrong shape", "INVALID_ARGUMENT", "want [n,4]", lambda: infer("FP64", ROWS[:, :3].copy()))
    fails("triton: unknown model", "NOT_FOUND", "no model", lambda: c.get_model_metadata("nope", headers=HEADERS))
    if a.key:
        fails("triton: no key", "UNAUTHENTICATED", "Unauthorized", lambda: c.get_model_metadata(MODEL))
    c.close()


def kserve():
    try:
        import grpc
        from kserve import InferenceGRPCClient, InferInput, InferRequest
        from kserve.protocol.grpc import grpc_predict_v2_pb2
    except ImportError:
        print("skip kserve: not installed")
        return
    same_fields("kserve", grpc_predict_v2_pb2.DESCRIPTOR)
    headers = tuple(HEADERS.items())

    async def run():
        c = InferenceGRPCClient(url=a.url, retries=0)
        check("kserve: live", await c.is_server_live(headers=headers))
        check("kserve: ready", await c.is_server_ready(headers=headers))
        check("kserve: model ready", await c.is_model_ready(MODEL, headers=headers))

        async def infer(model, name, datatype, array, typed):
            i = InferInput(name=name, shape=list(array.shape), datatype=datatype)
            if typed:
                i.data = array.ravel().tolist()
                if datatype == "BYTES":
                    i.data = [v.encode() for v in i.data]
            else:
                i.set_data_from_numpy(array, binary_data=True)
            return await c.infer(InferRequest(model_name=model, infer_inputs=[i], request_id="k1"), headers=headers)

        for typed in (False, True):
            form = "typed" if typed else "raw"
            for datatype, kind in (("FP64", np.float64), ("FP32", np.float32), ("INT64", np.int64)):
                rows = ROWS.astype(kind)
                r = await infer(MODEL, "features", datatype, rows, typed)
                check(f"kserve: {datatype}, {form}", r.id == "k1" and equal(r.outputs[0].as_numpy(), prices(datatype, rows)), r.outputs[0].as_numpy())
            r = await infer(USERS, "user_id", "BYTES", np.array(["abc123"], dtype=object), typed)
            want = rest(USERS, {"name": "user_id", "datatype": "BYTES", "shape": [1], "data": ["abc123"]})
            check(f"kserve: BYTES, {form}", equal(r.outputs[0].as_numpy(), want), r.outputs[0].as_numpy())

        async def fails(name, code, f):
            try:
                await f()
                check(name, False, "no error")
            except grpc.RpcError as e:
                check(name, e.code() == code, e)

        await fails("kserve: unknown user", grpc.StatusCode.NOT_FOUND, lambda: infer(USERS, "user_id", "BYTES", np.array(["x"], dtype=object), False))
        await fails("kserve: wrong shape", grpc.StatusCode.INVALID_ARGUMENT, lambda: infer(MODEL, "features", "FP64", ROWS[:, :3].copy(), False))
        await fails("kserve: unknown model", grpc.StatusCode.NOT_FOUND, lambda: infer("nope", "features", "FP64", ROWS, False))
        await c.close()

    asyncio.run(run())


triton()
kserve()
print("failed checks:", bad)
sys.exit(1 if bad else 0)
