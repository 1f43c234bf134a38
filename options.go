package basket

import (
	"errors"
	"slices"
)

// An Option configures [New].
type Option func(*config)

// config is what the options set; a nil or missing part is a fault or a default
// that validate tells of.
type config struct {
	store         Store
	model         Model
	modelSet      bool
	routesSet     bool
	experiment    string
	routes        []Route
	serviceLogger []ServiceLogger
	modelLogger   []ModelLogger
}

// WithStore sets where feature rows are read from. Required.
func WithStore(s Store) Option {
	return func(c *config) { c.store = s }
}

// WithModel sets the only model: WithRoutes with one route named "default".
func WithModel(m Model) Option {
	return func(c *config) { c.model, c.modelSet = m, true }
}

// WithRoutes divides users among models by a stable hash of experiment and user
// ID. A new experiment name deals the users anew.
func WithRoutes(experiment string, routes ...Route) Option {
	return func(c *config) {
		c.experiment, c.routes, c.routesSet = experiment, slices.Clone(routes), true
	}
}

// WithServiceLogger adds a logger of requests and faults.
func WithServiceLogger(l ServiceLogger) Option {
	return func(c *config) { c.serviceLogger = append(c.serviceLogger, l) }
}

// WithModelLogger adds a logger of predictions.
func WithModelLogger(l ModelLogger) Option {
	return func(c *config) { c.modelLogger = append(c.modelLogger, l) }
}

// validate joins every fault of the options, and makes a route of the only model.
func (c *config) validate() error {
	var faults []error
	if c.store == nil {
		faults = append(faults, errors.New("basket: no store: give one by WithStore"))
	}
	switch {
	case c.modelSet && c.routesSet:
		faults = append(faults, errors.New("basket: both WithModel and WithRoutes: give one of them"))
	case c.routesSet:
		faults = append(faults, checkRoutes(c.routes)...)
	case c.model == nil:
		faults = append(faults, errors.New("basket: no model: give one by WithModel, or several by WithRoutes"))
	default:
		c.routes = []Route{{Name: "default", Model: c.model, Weight: 1}}
	}
	if slices.Contains(c.serviceLogger, nil) {
		faults = append(faults, errors.New("basket: WithServiceLogger(nil): give a logger, or leave the option out"))
	}
	if slices.Contains(c.modelLogger, nil) {
		faults = append(faults, errors.New("basket: WithModelLogger(nil): give a logger, or leave the option out"))
	}
	return errors.Join(faults...)
}
