package basket

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// An Option configures [New].
type Option func(*config)

// config is what the options of New set.
type config struct {
	store          Store
	model          Model
	modelSet       bool
	routesSet      bool
	experiment     string
	routes         []Route
	serviceLoggers []ServiceLogger
	modelLoggers   []ModelLogger
	wrapModel      func(Model) Model
	maxAge         time.Duration
	maxAgeSet      bool
	stale          StalePolicy
}

// WithStore sets where feature rows are read from. Required.
func WithStore(s Store) Option {
	return func(c *config) { c.store = s }
}

// WithModel sets the only model: WithRoutes with one route named "default".
func WithModel(m Model) Option {
	return func(c *config) { c.model, c.modelSet = m, true }
}

// WithRoutes divides the users among models, as SetRoutes does.
func WithRoutes(experiment string, routes ...Route) Option {
	return func(c *config) {
		c.experiment, c.routes, c.routesSet = experiment, slices.Clone(routes), true
	}
}

// WithMaxAge sets how old the row of a user may be, counted from the user's last order,
// Row.OrderedAt, and what becomes of a user whose row is older. Without it, no row is too
// old: a customer who has not ordered for long is no sign of old data; see
// [MemoryStore.Newest] for that. A row without an event time, or of the future, is not
// too old.
func WithMaxAge(d time.Duration, p StalePolicy) Option {
	return func(c *config) { c.maxAge, c.stale, c.maxAgeSet = d, p, true }
}

// A StalePolicy says what becomes of a user whose row is older than [WithMaxAge] allows.
type StalePolicy int

const (
	// RefuseStale gives ErrStale. No model sees the row, and the Prediction that is
	// returned with the error has the row without its Values.
	RefuseStale StalePolicy = iota

	// ServeStale predicts, and tells the age as Row.Age.
	ServeStale
)

// WithServiceLogger adds a logger of requests and faults.
func WithServiceLogger(l ServiceLogger) Option {
	return func(c *config) { c.serviceLoggers = append(c.serviceLoggers, l) }
}

// WithModelLogger adds a logger of predictions.
func WithModelLogger(l ModelLogger) Option {
	return func(c *config) { c.modelLoggers = append(c.modelLoggers, l) }
}

// WithModelWrapper makes the Predictor call wrap(m) in place of each model m, also of
// those that SetModel and SetRoutes give later: one that takes the time, for instance.
// Predictions still name m, and their ModelID is m's. The features and outputs of both
// must be the same, and what wrap returns should be an [Explainer] if m is one.
func WithModelWrapper(wrap func(Model) Model) Option {
	return func(c *config) { c.wrapModel = wrap }
}

// validate returns every fault of the options, joined, except those of the
// routes, and makes the only model a route.
func (c *config) validate() error {
	var faults []error
	fault := func(text string) {
		faults = append(faults, fmt.Errorf("basket: %w: %s", ErrInvalidConfig, text))
	}
	if c.store == nil {
		fault("no store: give one by WithStore")
	} else if name, ok := repeated(c.store.Features()); ok {
		faults = append(faults, fmt.Errorf("basket: %w: two features of the store are named %q", ErrFeatureMismatch, name))
	}
	switch {
	case c.modelSet && c.routesSet:
		fault("both WithModel and WithRoutes: give one of them")
	case c.routesSet:
	case isNil(c.model):
		fault("no model: give one by WithModel, or several by WithRoutes")
	default:
		c.routes = []Route{{Name: "default", Model: c.model, Weight: 1}}
	}
	if slices.Contains(c.serviceLoggers, nil) {
		fault("WithServiceLogger(nil): give a logger, or leave the option out")
	}
	if slices.Contains(c.modelLoggers, nil) {
		fault("WithModelLogger(nil): give a logger, or leave the option out")
	}
	if c.maxAgeSet && c.maxAge <= 0 {
		fault(fmt.Sprintf("WithMaxAge(%v): want a positive time, or leave the option out", c.maxAge))
	}
	if c.stale != RefuseStale && c.stale != ServeStale {
		fault(fmt.Sprintf("WithMaxAge with the policy %d: want RefuseStale or ServeStale", int(c.stale)))
	}
	if c.routesSet {
		faults = append(faults, checkRoutes(c.routes)...)
	}
	return errors.Join(faults...)
}

// repeated returns a name that the list has twice.
func repeated(names []string) (string, bool) {
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if seen[name] {
			return name, true
		}
		seen[name] = true
	}
	return "", false
}

// A HandlerOption configures [NewHandler].
type HandlerOption func(*handler)

// WithMaxBody sets the longest body of a request, in bytes; 64 KiB by default.
func WithMaxBody(n int64) HandlerOption {
	return func(h *handler) { h.maxBody = n }
}

// WithMaxBatch sets the most user IDs of a request to /predict/batch, and its
// longest body in bytes; 10,000 and 16 MiB by default.
func WithMaxBatch(userIDs int, body int64) HandlerOption {
	return func(h *handler) { h.maxBatchUsers, h.maxBatchBody = userIDs, body }
}

// A ModelOption says how [ReadModel] and [LoadModel] read a model.
type ModelOption func(*modelConfig)

type modelConfig struct {
	names         []string
	id            string
	margin        bool
	bestIteration bool
}

// WithFeatureNames names the features of a model whose file has no names. If the
// file has names, they must be the same.
func WithFeatureNames(names ...string) ModelOption {
	return func(c *modelConfig) { c.names = slices.Clone(names) }
}

// WithModelID names the model, as in "price@3", for [ModelInfo], logs and answers.
// It must be UTF-8 without control characters.
func WithModelID(id string) ModelOption {
	return func(c *modelConfig) { c.id = id }
}

// WithMargin leaves out the model's link function, so that predictions are
// margins: the library's raw scores. It also reads models whose objective, and
// so whose link, is unknown.
func WithMargin() ModelOption {
	return func(c *modelConfig) { c.margin = true }
}

// WithBestIteration uses the rounds of an XGBoost model up to the best one, if
// it was trained with early stopping, as XGBoost's scikit-learn classes do.
// Without it all trees are used, as XGBoost's Booster does.
func WithBestIteration() ModelOption {
	return func(c *modelConfig) { c.bestIteration = true }
}
