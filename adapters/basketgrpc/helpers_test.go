package basketgrpc_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"net"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketgrpc"
	"github.com/basket-go/basket/oip"
	"github.com/basket-go/basket/serve"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// A sumModel adds 1, half of the first feature and a fourth of the second.
type sumModel struct{}

func (sumModel) Features() []string { return basket.FeatureNames() }

func (sumModel) Predict(_ context.Context, dst, rows []float64) error {
	for i := range dst {
		switch row := rows[4*i:]; {
		case row[0] == -1:
			return errors.New("a model that fails, at /secret/path")
		case row[0] == -2:
			panic("a model that panics, at /secret/path")
		default:
			dst[i] = 1 + row[0]/2 + row[1]/4
			if math.IsNaN(row[2]) {
				dst[i] = 7
			}
		}
	}
	return nil
}

// newHandler serves the model "basket" in two versions, with the user abc123.
func newHandler(t testing.TB, opts ...oip.Option) *oip.Handler {
	t.Helper()
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "abc123", OrderedAt: time.Unix(1, 0), Number: 1, Values: []float64{94.61, 15, 0, 0}}}))
	if err != nil {
		t.Fatal(err)
	}
	models := []oip.Version{{Name: "basket", Version: "2", Model: sumModel{}}, {Name: "basket", Version: "1", Model: sumModel{}}}
	return oip.NewHandler(store, func() []oip.Version { return models }, opts...)
}

// serveModels starts a server and returns its address.
func serveModels(t testing.TB, h *oip.Handler, opts ...basketgrpc.Option) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := basketgrpc.NewServer(h, opts...)
	go func() { _ = s.Serve(listener) }() // ends with Stop
	t.Cleanup(s.Stop)
	return listener.Addr().String()
}

// dial returns a connection to a new server.
func dial(t testing.TB, h *oip.Handler, opts ...basketgrpc.Option) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(serveModels(t, h, opts...), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// floats is the raw form of a tensor of FP64.
func floats(values ...float64) (data []byte) {
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
	}
	return data
}

// withKey returns a key and the option of a server that lets in only who has it.
func withKey(t testing.TB) (key string, access basketgrpc.Option) {
	t.Helper()
	key, line, err := serve.NewKey("shop", serve.User)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := serve.ParseKeys([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return key, basketgrpc.WithAccess(serve.Protect(serve.Protection{Authenticators: []serve.Authenticator{keys}, Free: basketgrpc.FreeMethods()}))
}
