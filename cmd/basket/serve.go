package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"
	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/repository"
	"github.com/basket-go/basket/serve"
)

// serveCmd has the settings of "basket serve"; see setting.
type serveCmd struct {
	Config      string `type:"setting" placeholder:"FILE" help:"YAML file of settings, a line NAME: VALUE each. Flags and environment variables, BASKET_NAME for --name, precede it."`
	PrintConfig bool   `type:"switch" help:"Print each setting with its source, as a configuration file, and exit."`

	Data      string `type:"setting" placeholder:"DIR" help:"Folder of orders.parquet, regulars.parquet and inventory.parquet, which are read again when they have changed and settled, and on SIGHUP. Needed."`
	Meaning   string `type:"setting" oneof:"last-order,next-order" initial:"last-order" placeholder:"MEANING" help:"Which order a feature row describes: last-order (default) or next-order."`
	Model     string `type:"setting" placeholder:"FILE" help:"Model file. This or --models is needed."`
	Models    string `type:"setting" placeholder:"DIR" help:"Folder of models, NAME/VERSION/model.* or NAME/model.*: the newest version that loads is served, and new ones are picked up."`
	ModelName string `type:"setting" placeholder:"NAME" help:"Which of --models to serve, NAME or, to pin a version, NAME@VERSION; needed if there are several names."`

	Addr  string        `type:"setting" initial:"127.0.0.1:8000" placeholder:"HOST:PORT" help:"Address to listen on (default 127.0.0.1:8000)."`
	Drain time.Duration `type:"setting" placeholder:"TIME" help:"How long requests are still accepted, with /readyz at 503, after the signal to stop (default 300ms on loopback, else 5s)."`

	Logs string `type:"setting" placeholder:"DIR" help:"Folder for service_metrics.txt and model_metrics.txt, which SIGHUP reopens; made if missing. Without it no logs are written."`

	KeyFile        string `type:"setting" placeholder:"FILE" help:"File of API keys, a line NAME:SHA256[:ROLE] each, which is read again when it changes; see basket key new. /status, /livez and /readyz need no key."`
	InsecureNoAuth bool   `type:"switch" help:"Serve without keys at an address that is not loopback."`
}

// faults returns what is wrong with settings that depend on each other.
func (c *serveCmd) faults() (faults []error) {
	fault := func(text string) { faults = append(faults, errors.New(text)) }
	if c.Data == "" {
		fault("no data: give --data DIR")
	}
	switch {
	case c.Model == "" && c.Models == "":
		fault("no model: give --model FILE or --models DIR")
	case c.Model != "" && c.Models != "":
		fault("both --model and --models: give one of them")
	case c.Models == "" && c.ModelName != "":
		fault("--model-name chooses one of --models: give that, or leave it out")
	}
	return faults
}

// refresh is how often keys and models are looked at.
const refresh = time.Second

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
	if c.Logs != "" {
		report := func(err error) { fmt.Fprintln(term.err, err) }
		logs, openErr := serve.OpenLogs(c.Logs, report)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, logs.Close()) }()
		serve.ReopenOnHangup(ctx, logs, report)
		s.opts = append(s.opts, basket.WithServiceLogger(logs.Service), basket.WithModelLogger(logs.Model))
		s.logEvent = func(message string, err error) {
			logs.Service.LogService(ctx, basket.ServiceEvent{Time: time.Now(), Message: message, Err: err})
		}
	}
	// What runs beside the server ends with it, and before the logs are closed.
	background, stop := context.WithCancel(ctx)
	defer s.background.Wait()
	defer stop()
	listener, handler, err := s.start(background, term)
	if err != nil {
		s.logEvent("Failed to initialize API", err)
		return err
	}
	s.logEvent("API initialized successfully", nil)
	fmt.Fprintf(term.out, "serving on http://%s\n", listener.Addr())
	drain := c.Drain
	if drain == 0 {
		drain = serve.Drain(listener.Addr())
	}
	return serve.Run(ctx, serve.NewServer(handler), listener, drain)
}

// A server is what "basket serve" consists of.
type server struct {
	*serveCmd
	opts       []basket.Option
	logEvent   func(message string, err error)
	checks     []serve.Check
	background sync.WaitGroup
}

// start loads model, data and keys, and listens. What it starts ends when ctx is
// done.
func (s *server) start(ctx context.Context, term terminal) (net.Listener, http.Handler, error) {
	authenticate, err := s.keys(ctx)
	if err != nil {
		return nil, nil, err
	}
	model, follow, err := s.loadModel(ctx)
	if err != nil {
		return nil, nil, err
	}
	if model.Info().NamesFrom == "default" {
		s.logEvent("The model file has no feature names: its columns are taken to be "+strings.Join(model.Features(), ", "), nil)
	}
	store, err := s.loadData(ctx, term)
	if err != nil {
		return nil, nil, err
	}
	p, err := basket.New(append(s.opts, basket.WithStore(store), basket.WithModel(model))...)
	if err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return nil, nil, err
	}
	if authenticate == nil && !s.InsecureNoAuth && !isLoopback(listener.Addr()) {
		return nil, nil, errors.Join(fmt.Errorf("%s is not a loopback address, and there are no API keys: give --key-file, or --insecure-no-auth to serve everyone", listener.Addr()), listener.Close())
	}
	debug.FreeOSMemory() // what reading the data has used
	follow(p)
	s.checks = append(s.checks, serve.StoreCheck(store))
	mux := http.NewServeMux()
	health := serve.NewHealth(ctx, s.checks, serve.WithReport(func(check string, err error) {
		if err != nil {
			s.logEvent("Not ready: "+check, err)
			return
		}
		s.logEvent("Ready again: "+check, nil)
	}))
	mux.Handle("/livez", health)
	mux.Handle("/readyz", health)
	mux.Handle("/", basket.NewHandler(p))
	if authenticate == nil {
		return listener, mux, nil
	}
	return listener, authenticate(mux), nil
}

// loadData reads the rows to serve, and replaces them when the files change or the
// process gets SIGHUP. A reading takes as much memory as the first one, beside the
// rows that are served.
func (s *server) loadData(ctx context.Context, term terminal) (*basket.MemoryStore, error) {
	again := make(chan struct{}, 1) // that the data should be read again
	request := func() {
		select {
		case again <- struct{}{}:
		default:
		}
	}
	s.background.Go(func() { _ = basketparquet.Watch(ctx, os.DirFS(s.Data), refresh, request) })
	serve.ReopenOnHangup(ctx, hangup(request), nil)
	history, err := materialize(ctx, s.Data, meaning(s.Meaning), term)
	if err != nil {
		return nil, err
	}
	store, err := basket.NewMemoryStore(history.Latest(ctx))
	if err != nil {
		return nil, err
	}
	s.background.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-again:
			}
			if err := s.reload(ctx, store); err != nil && ctx.Err() == nil {
				s.logEvent("Failed to reload data; the old rows are served", err)
			}
		}
	})
	return store, nil
}

// A hangup is what to do at SIGHUP.
type hangup func()

// Reopen makes it an argument of serve.ReopenOnHangup.
func (f hangup) Reopen() error {
	f()
	return nil
}

// reload replaces all rows at once. It works with one goroutine, because requests need
// the processor meanwhile.
func (s *server) reload(ctx context.Context, store *basket.MemoryStore) error {
	history, err := basketparquet.Materialize(ctx, os.DirFS(s.Data), meaning(s.Meaning))
	if err == nil {
		err = store.Replace(history.Latest(ctx))
	}
	if err != nil {
		return err
	}
	debug.FreeOSMemory()
	s.logEvent(fmt.Sprintf("The data was read again: rows of %d users", store.Len()), nil)
	return nil
}

// isLoopback reports whether only programs of this machine reach an address.
func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// free says which requests need no key.
func free(r *http.Request) bool {
	return slices.Contains([]string{"/status", "/livez", "/readyz"}, r.URL.Path)
}

// keys returns what wants a key of each request, or nil if none are configured, and
// follows changes of the file.
func (s *server) keys(ctx context.Context) (func(http.Handler) http.Handler, error) {
	if s.KeyFile == "" {
		return nil, nil
	}
	keys, err := serve.LoadKeys(s.KeyFile)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var fault error
	s.checks = append(s.checks, serve.Check{Name: "keys", Do: func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		return fault
	}})
	s.background.Go(func() {
		_ = keys.Watch(ctx, s.KeyFile, refresh, func(err error) {
			mu.Lock()
			fault = err
			mu.Unlock()
			if err != nil {
				s.logEvent("Failed to reload keys; the old ones are used", err)
				return
			}
			s.logEvent("The keys have changed", nil)
		})
	})
	return serve.Authenticate(free, keys), nil
}

// loadModel returns the model to serve, and what makes a Predictor follow its
// versions.
func (s *server) loadModel(ctx context.Context) (*basket.FileModel, func(*basket.Predictor), error) {
	if s.Models == "" {
		m, err := basket.LoadModel(s.Model)
		return m, func(*basket.Predictor) {}, err
	}
	opts := []repository.Option{repository.WithCheck(servable), repository.WithServiceLogger(eventLogger(s.logEvent))}
	if strings.Contains(s.ModelName, "@") {
		opts = append(opts, repository.WithHold(s.ModelName))
	}
	models, err := repository.Open(s.Models, opts...)
	if err != nil {
		return nil, nil, err
	}
	name, err := s.chooseModel(models)
	if err != nil {
		return nil, nil, err
	}
	m, err := models.Model(name)
	if err != nil {
		return nil, nil, err
	}
	follow := func(p *basket.Predictor) {
		s.background.Go(func() {
			_ = models.Watch(ctx, refresh, func() {
				newest, err := models.Model(name)
				if err == nil {
					err = p.SetModel("default", newest)
				}
				if err != nil {
					s.logEvent("Failed to change the model", err)
				}
			})
		})
	}
	return m, follow, nil
}

// chooseModel returns --model-name, or the only name.
func (s *server) chooseModel(models *repository.Repository) (string, error) {
	if s.ModelName != "" {
		return s.ModelName, nil
	}
	var names []string
	for _, m := range models.State() {
		names = append(names, m.Name)
	}
	if len(names) != 1 {
		return "", fmt.Errorf("%s has the models %q: choose one by --model-name", s.Models, names)
	}
	return names[0], nil
}

// servable returns what is wrong with a model for this server, which has the features
// of a Materializer.
func servable(m *basket.FileModel) error {
	for _, name := range m.Features() {
		if !slices.Contains(basket.FeatureNames(), name) {
			return fmt.Errorf("the model has the feature %.64q: want only %q", name, basket.FeatureNames())
		}
	}
	if m.Outputs() != 1 {
		return fmt.Errorf("the model gives %d predictions a row: want one price", m.Outputs())
	}
	return nil
}

// An eventLogger logs events outside of requests.
type eventLogger func(message string, err error)

func (l eventLogger) LogService(_ context.Context, e basket.ServiceEvent) { l(e.Message, e.Err) }
