// Command server is an example of a prediction service with basket: it loads orders
// and a model, and answers predictions over HTTP. Without flags it serves an embedded
// demo shop.
//
//	go run ./examples/server [-data DIR] [-model FILE] [-addr HOST:PORT] [-logs DIR]
//
// The environment variables BASKET_DATA, BASKET_MODEL, BASKET_ADDR and BASKET_LOGS set
// the defaults of the flags.
package main

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/dash"
	"github.com/basket-go/basket/serve"
)

// demo is a synthetic shop, made by demo/make.py.
//
//go:embed demo/*.parquet demo/model.txt
var demo embed.FS

// demoUser is a user of the demo shop.
const demoUser = "0cad47d6c469dc763adb1d206463099d94102e680eb2815de5d0ae055bdd72e2f2df884c327bfffbbefed72720bb6ec523e244912bf26aa78f5fe7d7ab893bc7"

func main() {
	data := flag.String("data", os.Getenv("BASKET_DATA"), "folder with orders.parquet, regulars.parquet and inventory.parquet; default: the demo shop")
	model := flag.String("model", os.Getenv("BASKET_MODEL"), "model file; default: that of the demo shop")
	addr := flag.String("addr", cmp.Or(os.Getenv("BASKET_ADDR"), "127.0.0.1:8000"), "address to listen on")
	logs := flag.String("logs", os.Getenv("BASKET_LOGS"), "folder for service_metrics.txt and model_metrics.txt; default: log to standard error")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, *data, *model, *addr, *logs, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, data, model, addr, logs string, out io.Writer) (err error) {
	var serviceLog basket.ServiceLogger = serve.NewTextLogger(os.Stderr)
	var modelLog basket.ModelLogger = serve.NewTextLogger(os.Stderr)
	if logs != "" {
		report := func(err error) { fmt.Fprintln(os.Stderr, err) }
		files, openErr := serve.OpenLogs(logs, report)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, files.Close()) }()
		serve.ReopenOnHangup(ctx, files, report)
		serviceLog, modelLog = files.Service, files.Model
	}
	recorder := dash.NewRecorder()
	p, store, userID, err := newPredictor(ctx, data, model, basket.WithServiceLogger(serviceLog), basket.WithModelLogger(modelLog),
		basket.WithServiceLogger(recorder), basket.WithModelLogger(recorder))
	if err != nil {
		serviceLog.LogService(ctx, basket.ServiceEvent{Time: time.Now(), Message: "Failed to initialize API", Err: err})
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	serviceLog.LogService(ctx, basket.ServiceEvent{Time: time.Now(), Message: "API initialized successfully"})
	h := basket.NewHandler(p)
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		h = withPage(h, dash.NewHandler(p, dash.WithRecorder(recorder), dash.WithContext(ctx), dash.WithNewest(store.Newest)))
		fmt.Fprintf(out, "Look at it in a browser: http://%s/ui/\n", listener.Addr())
	}
	fmt.Fprintf(out, "Serving on %s. Try:\n\n  curl http://%[1]s/status\n  curl http://%[1]s/predict -H 'Content-Type: application/json' -d '{\"user_id\":\"%[2]s\"}'\n\n", listener.Addr(), userID)
	return serve.Run(ctx, serve.NewServer(h), listener, serve.Drain(listener.Addr()))
}

// withPage serves the page, which shows the rows of all users, at /ui/, to this machine
// only: not to pages of other sites in its browser.
func withPage(h, page http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.Handle("/ui/", http.StripPrefix("/ui", page))
	return serve.Protect(serve.Protection{Admin: []string{"/ui"}})(mux)
}

// newPredictor loads the orders and the model. It also returns the rows and a user ID of the
// shop.
func newPredictor(ctx context.Context, data, model string, opts ...basket.Option) (*basket.Predictor, *basket.MemoryStore, string, error) {
	shop, err := fs.Sub(demo, "demo")
	if err != nil {
		return nil, nil, "", err
	}
	userID := demoUser
	if data != "" {
		shop, userID = os.DirFS(data), ""
	}
	history, err := basketparquet.Materialize(ctx, shop, basket.LastOrder)
	if err != nil {
		return nil, nil, "", err
	}
	store, err := basket.NewMemoryStore(history.Latest(ctx))
	if err != nil {
		return nil, nil, "", err
	}
	for row, err := range history.Latest(ctx) {
		if err != nil {
			return nil, nil, "", err
		}
		userID = cmp.Or(userID, row.UserID)
		break
	}
	forest, err := loadModel(model)
	if err != nil {
		return nil, nil, "", err
	}
	p, err := basket.New(append(opts, basket.WithStore(store), basket.WithModel(forest))...)
	return p, store, userID, err
}

func loadModel(path string) (*basket.FileModel, error) {
	if path != "" {
		return basket.LoadModel(path)
	}
	file, err := demo.Open("demo/model.txt")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return basket.ReadModel(file)
}
