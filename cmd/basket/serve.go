package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/serve"
)

type serveCmd struct {
	Data    string `required:"" placeholder:"DIR" help:"Folder of orders.parquet, regulars.parquet and inventory.parquet."`
	Model   string `required:"" placeholder:"FILE" help:"Model file."`
	Addr    string `default:"127.0.0.1:8000" placeholder:"HOST:PORT" help:"Address to listen on (${default})."`
	Logs    string `placeholder:"DIR" help:"Folder for service_metrics.txt and model_metrics.txt, which SIGHUP reopens; made if it is not there. No logs are written without it."`
	Meaning string `enum:"last-order,next-order" default:"last-order" help:"Which order a feature row describes: last-order or next-order (${default})."`
}

func (c *serveCmd) Run(ctx context.Context, term terminal) (err error) {
	var opts []basket.Option
	tell := func(basket.ServiceEvent) {}
	if c.Logs != "" {
		if err := os.MkdirAll(c.Logs, 0o750); err != nil {
			return err
		}
		report := func(err error) { fmt.Fprintln(term.err, err) }
		service, openErr := serve.OpenLogFile(filepath.Join(c.Logs, "service_metrics.txt"), basket.ServiceLogHeader, report)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, service.Close()) }()
		model, openErr := serve.OpenLogFile(filepath.Join(c.Logs, "model_metrics.txt"), basket.ModelLogHeader, report)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, model.Close()) }()
		serve.ReopenOnHangup(ctx, report, service, model)
		logger := basket.NewTextLogger(service)
		opts = append(opts, basket.WithServiceLogger(logger), basket.WithModelLogger(basket.NewTextLogger(model)))
		tell = func(e basket.ServiceEvent) {
			e.Time = time.Now()
			logger.LogService(ctx, e)
		}
	}
	p, err := c.predictor(opts)
	if err != nil {
		tell(basket.ServiceEvent{Message: "Failed to initialize API", Err: err})
		return err
	}
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		tell(basket.ServiceEvent{Message: "Failed to initialize API", Err: err})
		return err
	}
	debug.FreeOSMemory() // the orders' files are not needed again
	tell(basket.ServiceEvent{Message: "API initialized successfully"})
	fmt.Fprintf(term.out, "serving on http://%s\n", listener.Addr())
	return serve.Run(ctx, listener, basket.NewHandler(p))
}

func (c *serveCmd) predictor(opts []basket.Option) (*basket.Predictor, error) {
	model, err := basket.LoadModel(c.Model)
	if err != nil {
		return nil, err
	}
	history, err := basketparquet.Materialize(os.DirFS(c.Data), meaning(c.Meaning))
	if err != nil {
		return nil, err
	}
	store, err := basket.NewMemoryStore(history.Latest())
	if err != nil {
		return nil, err
	}
	return basket.New(append(opts, basket.WithStore(store), basket.WithModel(model))...)
}
