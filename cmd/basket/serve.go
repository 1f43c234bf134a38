package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
)

type serveCmd struct {
	Data    string `required:"" placeholder:"DIR" help:"Folder of orders.parquet, regulars.parquet and inventory.parquet."`
	Model   string `required:"" placeholder:"FILE" help:"Model file."`
	Addr    string `default:"127.0.0.1:8000" placeholder:"HOST:PORT" help:"Address to listen on (${default})."`
	Logs    string `placeholder:"DIR" help:"Folder for service_metrics.txt and model_metrics.txt, which SIGHUP reopens; made if missing. Without it no logs are written."`
	Meaning string `enum:"last-order,next-order" default:"last-order" help:"Which order a feature row describes: last-order or next-order (${default})."`
}

func (c *serveCmd) Run(ctx context.Context, term terminal) (err error) {
	var opts []basket.Option
	logEvent := func(string, error) {}
	if c.Logs != "" {
		report := func(err error) { fmt.Fprintln(term.err, err) }
		logs, openErr := serve.OpenLogs(c.Logs, report)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, logs.Close()) }()
		serve.ReopenOnHangup(ctx, logs, report)
		opts = append(opts, basket.WithServiceLogger(logs.Service), basket.WithModelLogger(logs.Model))
		logEvent = func(message string, err error) {
			logs.Service.LogService(ctx, basket.ServiceEvent{Time: time.Now(), Message: message, Err: err})
		}
	}
	listener, p, err := c.start(ctx, term, opts, logEvent)
	if err != nil {
		logEvent("Failed to initialize API", err)
		return err
	}
	logEvent("API initialized successfully", nil)
	fmt.Fprintf(term.out, "serving on http://%s\n", listener.Addr())
	return serve.Run(ctx, listener, basket.NewHandler(p))
}

// start loads model and data, and listens.
func (c *serveCmd) start(ctx context.Context, term terminal, opts []basket.Option, logEvent func(string, error)) (net.Listener, *basket.Predictor, error) {
	model, err := basket.LoadModel(c.Model)
	if err != nil {
		return nil, nil, err
	}
	if model.Info().NamesFrom == "default" {
		logEvent("The model file has no feature names: its columns are taken to be "+strings.Join(model.Features(), ", "), nil)
	}
	history, err := materialize(ctx, c.Data, meaning(c.Meaning), term)
	if err != nil {
		return nil, nil, err
	}
	store, err := basket.NewMemoryStore(history.Latest(ctx))
	if err != nil {
		return nil, nil, err
	}
	p, err := basket.New(append(opts, basket.WithStore(store), basket.WithModel(model))...)
	if err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, nil, err
	}
	debug.FreeOSMemory() // what reading the data has used
	return listener, p, nil
}
