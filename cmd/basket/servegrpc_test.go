package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket/adapters/basketgrpc/inferencepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// dialGRPC connects to the address of gRPC that "basket serve" has printed.
func dialGRPC(t *testing.T, printed string, c credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	addr := regexp.MustCompile(`(?m)^serving gRPC on (\S+)$`).FindStringSubmatch(printed)
	if addr == nil {
		t.Fatalf("%q: no address of gRPC", printed)
	}
	conn, err := grpc.NewClient(addr[1], grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// userRequest asks for the price of a user.
func userRequest(model, user string) *inferencepb.ModelInferRequest {
	return &inferencepb.ModelInferRequest{ModelName: model, Inputs: []*inferencepb.ModelInferRequest_InferInputTensor{{
		Name: "user_id", Datatype: "BYTES", Shape: []int64{1}, Contents: &inferencepb.InferTensorContents{BytesContents: [][]byte{[]byte(user)}},
	}}}
}

// TestServe_grpc: calls over gRPC get the prices of HTTP, by the same keys and limits, and are
// logged and counted; the health service follows the stop.
func TestServe_grpc(t *testing.T) {
	dir := t.TempDir()
	key, line := newKey(t, "shop")
	writeWholeFile(t, dir+"/keys", []byte(line+"\n"))
	url, printed, stop := startServePrinted(t, "--data", demo, "--model", demo+"/model.txt", "--key-file", dir+"/keys", "--grpc-addr", "127.0.0.1:0",
		"--logs", dir+"/logs", "--log-format", "json", "--rate-limit", "0.01", "--rate-burst", "4", "--drain", "1s")
	conn := dialGRPC(t, printed, insecure.NewCredentials())
	client, health := inferencepb.NewGRPCInferenceServiceClient(conn), grpc_health_v1.NewHealthClient(conn)
	withKey := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+key)
	user := newChangingShop(t, demo).users[0]

	got, err := client.ModelInfer(withKey, userRequest("basket", user))
	if err != nil {
		t.Fatal(err)
	}
	price := got.GetOutputs()[0].GetContents().GetFp64Contents()[0]
	_, text, _ := ask(t, "POST", url+"/predict", key, fmt.Sprintf(`{"user_id":%q}`, user))
	if want := fmt.Sprintf(`"predicted_price":%v,`, price); !strings.Contains(text, want) {
		t.Errorf("/predict: %s, want %s", text, want)
	}
	for _, test := range []struct {
		name string
		ctx  context.Context
		req  *inferencepb.ModelInferRequest
		want codes.Code
	}{
		{"unknown user", withKey, userRequest("basket", "nobody"), codes.NotFound},
		{"no key", t.Context(), userRequest("basket", user), codes.Unauthenticated},
		{"a row", withKey, &inferencepb.ModelInferRequest{ModelName: "basket-features", Inputs: []*inferencepb.ModelInferRequest_InferInputTensor{{
			Name: "features", Datatype: "FP64", Shape: []int64{1, 4}, Contents: &inferencepb.InferTensorContents{Fp64Contents: []float64{20, 5, 1, 2}},
		}}}, codes.OK},
		{"over the rate", withKey, userRequest("basket", user), codes.ResourceExhausted},
	} {
		if _, err := client.ModelInfer(test.ctx, test.req); status.Code(err) != test.want {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	watch, err := health.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := watch.Recv(); err != nil || s.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v", s, err)
	}
	start := time.Now()
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
	if took := time.Since(start); took > grpcGrace/2 {
		t.Errorf("the stop took %v: it waited for a stream", took)
	}
	if s, err := watch.Recv(); err == nil && s.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING || err != nil && status.Code(err) != codes.Unavailable {
		t.Errorf("after the stop: %v, %v", s, err)
	}

	paths, routes := map[string]int{}, map[string]int{}
	for _, line := range strings.Split(readLogs(t, dir+"/logs"), "\n") {
		var e struct {
			Path, Route string
			Status      int
			Client      string
		}
		if json.Unmarshal([]byte(line), &e) != nil {
			continue
		}
		if strings.HasPrefix(e.Path, "/inference.") {
			paths[fmt.Sprintf("%s %d", e.Path, e.Status)]++
		}
		if e.Route != "" {
			routes[e.Route]++
		}
	}
	if want := map[string]int{"/inference.GRPCInferenceService/ModelInfer 200": 2, "/inference.GRPCInferenceService/ModelInfer 404": 1}; fmt.Sprint(paths) != fmt.Sprint(want) {
		t.Errorf("requests in the log %v, want %v", paths, want)
	}
	if want := map[string]int{"basket@1": 2, "default": 1}; fmt.Sprint(routes) != fmt.Sprint(want) {
		t.Errorf("predictions by route %v, want %v", routes, want)
	}
}

// readLogs returns the lines of all files of a folder.
func readLogs(t *testing.T, dir string) (text string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(dir + "/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		text += string(b)
	}
	return text
}

// TestServe_grpcTLS: gRPC has the certificate of HTTPS.
func TestServe_grpcTLS(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	_, printed, stop := startServePrinted(t, "--data", demo, "--model", demo+"/model.txt", "--grpc-addr", "127.0.0.1:0", "--tls-cert", dir+"/tls.crt", "--tls-key", dir+"/tls.key")
	pem, err := os.ReadFile(dir + "/tls.crt")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	conn := dialGRPC(t, printed, credentials.NewTLS(&tls.Config{RootCAs: pool}))
	if live, err := inferencepb.NewGRPCInferenceServiceClient(conn).ServerLive(t.Context(), &inferencepb.ServerLiveRequest{}); err != nil || !live.GetLive() {
		t.Errorf("live %v, %v", live, err)
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestServe_grpcFaults: an address that cannot be used is told before anything is served.
func TestServe_grpcFaults(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for addr, want := range map[string]string{
		"nowhere":           `--grpc-addr "nowhere": want HOST:PORT`,
		"0.0.0.0:0":         "0.0.0.0:0 is not a loopback address, and there are no API keys",
		l.Addr().String():   "--grpc-addr: listen tcp",
		"127.0.0.1:1000000": "--grpc-addr: listen tcp",
	} {
		var out, errs syncBuffer
		code := run(t.Context(), []string{"serve", "--addr", "127.0.0.1:0", "--data", demo, "--model", demo + "/model.txt", "--grpc-addr", addr}, terminal{&out, &errs})
		if code == 0 || !strings.Contains(errs.String(), want) || regexp.MustCompile(`(?m)^serving`).MatchString(out.String()) {
			t.Errorf("--grpc-addr %s: status %d, %s, want %s", addr, code, errs.String(), want)
		}
	}
}
