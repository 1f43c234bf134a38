package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alecthomas/kong"
	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
)

// serveCmd has the settings of "basket serve"; see setting.
type serveCmd struct {
	Config      string `type:"setting" placeholder:"FILE" help:"YAML file of settings, a line NAME: VALUE each. Flags and environment variables, BASKET_NAME for --name, precede it."`
	PrintConfig bool   `type:"switch" help:"Print each setting with its source, as a configuration file, and exit."`

	Data      string `type:"setting" placeholder:"DIR" help:"Folder of orders.parquet, regulars.parquet and inventory.parquet, which are read again when they have changed and settled, and on SIGHUP. This or --store is needed."`
	Meaning   string `type:"setting" oneof:"last-order,next-order" initial:"last-order" placeholder:"MEANING" help:"Which order a feature row describes: last-order (default) or next-order."`
	Model     string `type:"setting" placeholder:"FILE" help:"Model file. This or --models is needed."`
	Models    string `type:"setting" placeholder:"DIR" help:"Folder of models, NAME/VERSION/model.* or NAME/model.*: the newest version that loads is served, and new ones are picked up."`
	ModelName string `type:"setting" placeholder:"NAME" help:"Which of --models to serve, NAME or, to pin a version, NAME@VERSION; needed if there are several names."`
	Routes    string `type:"setting" placeholder:"FILE" help:"YAML or JSON file of an experiment: which of --models answers which share of the users, and shadows. It is read again when it changes, and written by PUT /admin/routes."`

	Profile string `type:"setting" placeholder:"FILE" help:"Reference of basket profile: GET /drift tells how far what is served is from it. Read again when it changes."`

	DriftWindow time.Duration `type:"setting" positive:"" placeholder:"TIME" help:"Length of a window of --profile, from 1s to 168h (default 5m); drift is told after two windows in a row."`

	UI bool `name:"ui" type:"switch" help:"Serve a page that shows the service in a browser, at /ui/: with keys for the role admin, by a key as password."`

	Addr     string `type:"setting" initial:"127.0.0.1:8000" placeholder:"HOST:PORT" help:"Address to listen on (default 127.0.0.1:8000)."`
	GRPCAddr string `name:"grpc-addr" type:"setting" placeholder:"HOST:PORT" help:"Serve the Open Inference Protocol over gRPC too, at this address; /v2 has it over HTTP."`

	Drain time.Duration `type:"setting" placeholder:"TIME" help:"How long requests are still accepted, with /readyz at 503, after the signal to stop (default 300ms on loopback, else 5s)."`

	Store     storeSettings     `embed:""`
	Log       logSettings       `embed:""`
	Auth      authSettings      `embed:""`
	Limits    limitSettings     `embed:""`
	Telemetry telemetrySettings `embed:""`
}

// faults returns what is wrong with settings that depend on each other.
func (c *serveCmd) faults() (faults []error) {
	fault := func(text string) { faults = append(faults, errors.New(text)) }
	switch {
	case c.Data == "" && c.Store.Store == "":
		fault("no data: give --data DIR, or --store " + storeForms)
	case c.Data != "" && c.Store.Store != "":
		fault("both --data and --store: give one of them")
	}
	switch {
	case c.Model == "" && c.Models == "":
		fault("no model: give --model FILE or --models DIR")
	case c.Model != "" && c.Models != "":
		fault("both --model and --models: give one of them")
	case c.Models == "" && c.ModelName != "":
		fault("--model-name chooses one of --models: give that, or leave it out")
	case c.Models == "" && c.Routes != "":
		fault("--routes names some of --models: give that, or leave it out")
	case c.Profile == "" && c.DriftWindow != 0:
		fault("--drift-window is of --profile: give that, or leave it out")
	case c.Routes != "" && c.ModelName != "":
		fault("both --routes and --model-name: give one of them")
	}
	_, limitsErr := c.Limits.build()
	faults = append(append(faults, limitsErr), c.Store.faults()...)
	faults = append(faults, c.Log.faults()...)
	faults = append(faults, c.Telemetry.faults()...)
	faults = append(faults, c.Auth.faults()...)
	faults = append(faults, c.Auth.addressFaults("--addr", c.Addr)...)
	if c.GRPCAddr != "" {
		faults = append(faults, c.Auth.addressFaults("--grpc-addr", c.GRPCAddr)...)
	}
	return faults
}

// watchInterval is how often files of keys, models, routes and data are looked at.
const watchInterval = time.Second

// Run serves until ctx is done.
func (c *serveCmd) Run(ctx context.Context, term terminal, k *kong.Context, raw rawFlags) (err error) {
	settings, err := resolve(k.Selected(), raw, os.LookupEnv)
	if err := errors.Join(append([]error{err}, c.faults()...)...); err != nil {
		return err
	}
	if c.PrintConfig {
		return printSettings(term.out, settings)
	}
	s := server{serveCmd: c, logEvent: func(string, error) {}}
	if s.limits, err = c.Limits.build(); err != nil {
		return err
	}
	droppedLines := func() int64 { return 0 }
	if c.Log.Dir != "" {
		report := func(err error) { fmt.Fprintln(term.err, err) }
		logs, openErr := c.Log.open(report)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, logs.Close()) }()
		serve.ReopenOnHangup(ctx, logs, report)
		droppedLines = logs.Dropped
		s.services = append(s.services, logs.Service)
		s.opts = append(s.opts, basket.WithModelLogger(logs.Model))
		s.logEvent = func(message string, err error) {
			logs.Service.LogService(ctx, basket.ServiceEvent{Time: time.Now(), Message: message, Err: err})
		}
	}
	if err := s.openTelemetry(ctx, droppedLines); err != nil {
		return err
	}
	defer s.telemetry.close()
	// What runs beside the server ends with it, and before the logs are closed.
	background, stop := context.WithCancel(ctx)
	defer s.background.Wait()
	defer stop()
	defer func() {
		if s.remote != nil { // requests under way until here have read from it
			s.remote.close()
		}
	}()
	defer func() {
		stop()
		err = errors.Join(err, s.stopGRPC())
	}()
	listener, handler, err := s.start(background, term)
	if err != nil {
		s.logEvent("Failed to initialize API", err)
		return err
	}
	s.logEvent("API initialized successfully", nil)
	scheme := "http"
	server := serve.NewServer(handler)
	if s.tls != nil {
		scheme, server.TLSConfig = "https", s.tls
	}
	if s.grpc != nil {
		fmt.Fprintf(term.out, "serving gRPC on %s\n", s.grpc.listener.Addr())
	}
	fmt.Fprintf(term.out, "serving on %s://%s\n", scheme, listener.Addr())
	if c.UI {
		fmt.Fprintf(term.out, "look at it in a browser: %s://%s%s/\n", scheme, listener.Addr(), uiPath)
	}
	drain := c.Drain
	if drain == 0 {
		drain = serve.Drain(listener.Addr())
	}
	return serve.Run(s.runGRPC(ctx), server, listener, drain)
}
