package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/oip"
	"github.com/basket-go/basket/serve"
)

// oneModel is the name of the model of --model in the Open Inference Protocol.
const oneModel = "basket"

// openInference returns what serves the loaded models by the Open Inference Protocol.
// Predictions for users are logged and counted as those of /predict are, with the version
// as route. It is not ready once ctx is done.
func (s *server) openInference(ctx context.Context, store basket.Store) *oip.Handler {
	opts := []oip.Option{
		oip.WithPredictor(s.opts...),
		oip.WithMaxBody(int64(s.Limits.MaxBatchBody)),
		oip.WithMaxRows(s.Limits.MaxBatch),
		oip.WithReady(func(asked context.Context) error {
			if ctx.Err() != nil {
				return errors.New("the server stops")
			}
			return s.ready(asked)
		}),
	}
	for _, l := range s.services {
		opts = append(opts, oip.WithServiceLogger(l))
	}
	return oip.NewHandler(store, func() []oip.Version { return *s.versions.Load() }, opts...)
}

// ready returns why the server is not ready, or nil.
func (s *server) ready(ctx context.Context) error {
	for _, c := range s.checks {
		if err := c.Do(ctx); err != nil && !errors.Is(err, serve.ErrDegraded) {
			return err
		}
	}
	return nil
}

// listVersions sets s.versions to the loaded models, of each name the served version first.
func (s *server) listVersions() {
	var all []oip.Version
	defer func() { s.versions.Store(&all) }()
	if s.models == nil {
		all = append(all, oip.Version{Name: oneModel, Version: "1", Model: s.model})
		return
	}
	for _, m := range s.models.State() {
		loaded := slices.Clone(m.Loaded)
		if i := slices.Index(loaded, m.Served); i > 0 {
			loaded = slices.Insert(slices.Delete(loaded, i, i+1), 0, m.Served)
		}
		for _, version := range loaded {
			if model, err := s.models.Model(m.Name + "@" + version); err == nil {
				all = append(all, oip.Version{Name: m.Name, Version: version, Model: model})
			}
		}
	}
}

// withInference serves the paths of the Open Inference Protocol, and all others by next.
func withInference(inference, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2" || strings.HasPrefix(r.URL.Path, "/v2/") {
			inference.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
