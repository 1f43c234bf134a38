package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/repository"
)

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

// openModels opens the folder of models. name is that of the model to serve, without
// version, or empty if routes name the models.
func (s *server) openModels() (models *repository.Repository, name string, err error) {
	opts := []repository.Option{repository.WithCheck(servable), repository.WithServiceLogger(s.countedEvents("models"))}
	name, version, pinned := strings.Cut(s.ModelName, "@")
	if pinned {
		opts = append(opts, repository.WithPin(name, version))
	}
	if models, err = repository.Open(s.Models, opts...); err != nil {
		return nil, "", err
	}
	if name == "" && s.Routes == "" {
		var names []string
		for _, m := range models.State() {
			names = append(names, m.Name)
		}
		if len(names) != 1 {
			return nil, "", fmt.Errorf("%s has the models %q: choose one by --model-name", s.Models, names)
		}
		name = names[0]
	}
	return models, name, nil
}

// A modelState describes a model for administrators.
type modelState struct {
	Name    string         `json:"name"`
	Served  string         `json:"served,omitempty"`
	Pinned  string         `json:"pinned,omitempty"`
	Loaded  []string       `json:"loaded"`
	Refused []refusedState `json:"refused,omitempty"`
}

type refusedState struct {
	Version string `json:"version,omitempty"`
	Reason  string `json:"reason"`
}

// modelStates describe the models of a folder. Reasons name files as in the folder.
func modelStates(dir string, models *repository.Repository) []modelState {
	var list []modelState
	for _, m := range models.State() {
		state := modelState{Name: m.Name, Served: m.Served, Pinned: m.Pinned, Loaded: m.Loaded}
		for _, f := range m.Faults {
			reason := strings.ReplaceAll(f.Err.Error(), strings.TrimSuffix(dir, "/")+"/", "")
			state.Refused = append(state.Refused, refusedState{f.Version, reason})
		}
		list = append(list, state)
	}
	return list
}

// modelFaults returns why some version of one of the names is refused, or nil.
func modelFaults(models *repository.Repository, serves func(name string) bool) error {
	var faults []error
	for _, m := range models.State() {
		if !serves(m.Name) {
			continue
		}
		for _, f := range m.Faults {
			faults = append(faults, fmt.Errorf("%s@%s: %w", m.Name, f.Version, f.Err))
		}
	}
	return errors.Join(faults...)
}

// An eventLogger logs events outside of requests.
type eventLogger func(message string, err error)

// LogService logs an event.
func (l eventLogger) LogService(_ context.Context, e basket.ServiceEvent) { l(e.Message, e.Err) }
