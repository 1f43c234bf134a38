package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/dash"
	"github.com/basket-go/basket/drift"
	"github.com/basket-go/basket/oip"
	"github.com/basket-go/basket/repository"
	"github.com/basket-go/basket/routing"
	"github.com/basket-go/basket/serve"
)

// A server is what "basket serve" consists of.
type server struct {
	*serveCmd
	opts           []basket.Option // of the predictors of all paths: loggers and the like
	served         []basket.Option // of the predictor of /predict: its model, or its routes
	services       []basket.ServiceLogger
	grpc           *grpcServer // nil without --grpc-addr
	versions       atomic.Pointer[[]oip.Version]
	logEvent       func(message string, err error)
	checks         []serve.Check
	background     sync.WaitGroup
	authenticators []serve.Authenticator
	telemetry      *serverTelemetry
	limits         limits
	tls            *tls.Config    // nil without --tls-cert
	monitor        *drift.Monitor // nil without --profile
	recorder       *dash.Recorder // nil without --ui

	data   *memoryRows               // nil with a store that is a server
	remote remoteStore               // nil with rows in memory
	newest atomic.Pointer[time.Time] // order of remote; nil if it is not known
	model  *basket.FileModel         // the only one, unless routes name them
	models *repository.Repository    // nil with --model
	routes *routing.File             // nil without --routes
}

// start loads keys, models, routes and data, and listens. Its error joins the faults of
// all of them. What it starts ends when ctx is done.
func (s *server) start(ctx context.Context, term terminal) (net.Listener, http.Handler, error) {
	storeErr := s.openStore(ctx)
	keysErr := s.loadKeys(ctx)
	follow, modelErr := s.loadModels(ctx)
	var profileErr error
	if modelErr == nil {
		profileErr = s.loadProfile(ctx)
	}
	if err := errors.Join(keysErr, s.loadCertificate(ctx), modelErr, profileErr, storeErr); err != nil {
		return nil, nil, err
	}
	if s.data != nil {
		s.data.watch(ctx, &s.background)
		if err := s.data.load(ctx, term); err != nil {
			return nil, nil, err
		}
		s.checks = append(s.checks, s.data.checks()...)
	}
	store, err := s.storeOf(ctx)
	if err != nil {
		return nil, nil, err
	}
	s.opts = append(s.opts, s.Store.options()...)
	s.openUI()
	store = s.telemetry.recorder.Store(store)
	opts := append(slices.Concat(s.opts, s.served), basket.WithStore(store))
	for _, l := range s.services {
		opts = append(opts, basket.WithServiceLogger(l))
	}
	p, err := basket.New(opts...)
	if err != nil {
		return nil, nil, err
	}
	if s.data != nil {
		s.data.follow(ctx, &s.background)
	}
	s.listVersions()
	follow(p)
	s.observe()
	s.limits.observe(s.telemetry)
	if err := s.Telemetry.servePProf(ctx, &s.background, term); err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return nil, nil, err
	}
	inference := s.openInference(ctx, store)
	if err := s.openGRPC(ctx, inference); err != nil {
		_ = listener.Close()
		return nil, nil, err
	}
	return listener, s.handler(ctx, p, inference), nil
}

// adminPaths are the paths that want the role admin.
var adminPaths = []string{"/admin", "/metrics", "/drift", uiPath}

// handler returns the handler of all paths.
func (s *server) handler(ctx context.Context, p *basket.Predictor, inference http.Handler) http.Handler {
	health := serve.NewHealth(ctx, s.checks, serve.WithDetails(s.details),
		serve.WithReport(func(check string, err error) {
			switch {
			case err == nil:
				s.logEvent("Ready again: "+check, nil)
			case !errors.Is(err, serve.ErrDegraded): // the cause of which has been logged
				s.logEvent("Not ready: "+check, err)
			}
		}))
	others := documents()
	others["/livez"], others["/readyz"], others["/metrics"] = health, health, s.telemetry.Handler()
	if s.routes != nil {
		others["/admin/routes"] = s.routes.Handler(p)
		others["/admin/shadows"] = s.routes.Shadows()
	}
	if s.monitor != nil {
		others["/drift"] = s.monitor
	}
	predict := withInference(inference, basket.NewHandler(p, basket.WithMaxBody(int64(s.Limits.MaxBody)), basket.WithMaxBatch(s.Limits.MaxBatch, int64(s.Limits.MaxBatchBody))))
	h := s.protect(freePaths)(s.withUI(ctx, p, s.limits.wrap(exactPaths(others, predict))))
	if s.limits.address != nil {
		h = s.limits.address(h)
	}
	return s.telemetry.traced(serve.RequestID(serve.SecurityHeaders(h)))
}

// protect returns what lets requests in, those of some paths without a key.
func (s *server) protect(free []string) func(http.Handler) http.Handler {
	host, _, _ := net.SplitHostPort(s.Addr) // net.Listen has accepted it
	return serve.Protect(serve.Protection{
		Authenticators: s.authenticators,
		Free:           free,
		Admin:          adminPaths,
		AdminWrites:    s.Auth.Admin,
		Hosts:          []string{host},
		Refused: func(r *http.Request, cause error) {
			s.logEvent("Refused "+r.Method+" "+r.URL.Path, cause)
		},
	})
}

// exactPaths serves some paths by handlers of their own, and all others by another. All
// paths are exact, so a lookup does what http.ServeMux does more slowly.
func exactPaths(handlers map[string]http.Handler, others http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := handlers[r.URL.Path]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}

// dataState describes the rows that are served, or returns nil if nothing is known of them.
func (s *server) dataState() *dataState {
	if s.data != nil {
		state := s.data.details()
		return &state
	}
	if newest := s.newest.Load(); newest != nil {
		return &dataState{Newest: *newest, Age: time.Since(*newest).Seconds()}
	}
	return nil
}

// details describe the server to administrators.
func (s *server) details(context.Context) any {
	details := struct {
		Data   *dataState   `json:"data,omitempty"`
		Model  string       `json:"model,omitempty"`
		Models []modelState `json:"models,omitempty"`
		Routes string       `json:"routes_fault,omitempty"`
	}{}
	details.Data = s.dataState()
	if s.models != nil {
		details.Models = modelStates(s.Models, s.models)
	}
	if s.routes != nil && s.routes.Err() != nil {
		details.Routes = s.routes.Err().Error()
	}
	return details
}

// loadModels loads the model or models, adds what basket.New needs of them to the
// options, and returns what makes a Predictor follow their changes.
func (s *server) loadModels(ctx context.Context) (follow func(*basket.Predictor), err error) {
	if s.Models == "" {
		m, err := basket.LoadModel(s.Model)
		if err != nil {
			return nil, err
		}
		s.addModel(m)
		return func(*basket.Predictor) {}, nil
	}
	var name string
	if s.models, name, err = s.openModels(); err != nil {
		return nil, err
	}
	var refresh func(p *basket.Predictor) error
	if s.Routes == "" {
		m, err := s.models.Model(name)
		if err != nil {
			return nil, err
		}
		s.addModel(m)
		refresh = func(p *basket.Predictor) error {
			m, err := s.models.Model(name)
			if err == nil {
				err = p.SetModel("default", m)
			}
			return err
		}
	} else {
		if err := s.openRoutes(ctx); err != nil {
			return nil, err
		}
		refresh = func(p *basket.Predictor) error { return s.routes.Refresh(p) }
	}
	s.checks = append(s.checks, serve.Check{Name: "models", Do: func(context.Context) error {
		return degraded(modelFaults(s.models, func(n string) bool { return name == "" || n == name }))
	}})
	return func(p *basket.Predictor) {
		s.background.Go(func() {
			_ = s.models.Watch(ctx, watchInterval, func() {
				s.listVersions()
				if err := refresh(p); err != nil {
					s.logEvent("Failed to change the model", err)
				}
			})
		})
		if s.routes != nil {
			s.background.Go(func() { _ = s.routes.Watch(ctx, p, watchInterval) })
		}
	}, nil
}

// addModel adds the only model.
func (s *server) addModel(m *basket.FileModel) {
	s.model = m
	s.served = append(s.served, basket.WithModel(m))
	if m.Info().NamesFrom == "default" {
		s.logEvent("The model file has no feature names: its columns are taken to be "+strings.Join(m.Features(), ", "), nil)
	}
}

// openRoutes opens --routes.
func (s *server) openRoutes(ctx context.Context) (err error) {
	s.routes, err = routing.Open(ctx, s.Routes, s.models,
		routing.WithDecoder(yamlToJSON), routing.WithServiceLogger(s.countedEvents("routes")),
		routing.WithClient(func(ctx context.Context) string { return serve.IdentityOf(ctx).Name }))
	if err != nil {
		return err
	}
	s.served = append(s.served, s.routes.Option(), basket.WithModelLogger(s.routes.Shadows()))
	s.checks = append(s.checks, serve.Check{Name: "routes", Do: func(context.Context) error {
		return degraded(s.routes.Err())
	}})
	return nil
}
