// Package basket predicts the price of each user's next basket with a tree
// model, inside a Go service.
//
// There are two interfaces and one type. A [Store] returns a user's newest
// feature row. A [Model] maps feature rows to predictions. A [Predictor], made by
// [New], binds models to a store by feature name, once, and from then on only
// looks up and computes. The files, in the order in which data passes through:
//
//	orders.go      Order, Regular, Item: what happened
//	features.go    Materializer: orders to feature rows, and the rules for it;
//	               ingest.go, shard.go, usertable.go: what it keeps; rows.go: its rows
//	history.go     History: the rules for one user
//	sequence.go    History of a program that follows each order: once by sequence, stored as bytes
//	store.go       Store and MemoryStore: where rows are kept; storetable.go: its memory;
//	               snapshot.go: its rows in a file; storelimit.go: a time limit
//	model.go       Model and ReadModel; filemodel.go: FileModel, what ReadModel returns;
//	               tree.go: its trees and the importance of features
//	route.go       Route: which model answers which user
//	basket.go      Predictor; bind.go: its models; explain.go: why a price is what it is
//	handler.go     NewHandler: predictions over HTTP; handlerbatch.go: of many users
//	log.go         ServiceLogger and ModelLogger: what happened while serving
//	options.go     all options
//	errors.go      the kinds of failure
//
// Package basketparquet reads orders from parquet files. Package repository has
// models by version, and routing routes that change at run time. Package serve runs
// a server, and has keys, limits and loggers. Package basketotel has metrics and
// traces, and drift compares what is served with a reference. Package oip serves models by
// the Open Inference Protocol, and dash a page that shows what a service does. Package baskettest tests stores, models and
// loggers of your own. This package imports the standard library only, has no
// global state, and starts goroutines only in [FileModel.PredictParallel] and for
// [WithGoroutines]; they have ended when the call or the sequence ends.
//
// # Errors
//
// An [Error] is a kind of failure; errors.Is finds it. All errors of Predict,
// PredictBatch and Explain wrap one, except that Explain may wrap
// errors.ErrUnsupported instead. The errors of New, SetModel and SetRoutes wrap
// ErrInvalidConfig or ErrFeatureMismatch, those of ReadModel about the content
// ErrModelFormat or ErrFeatureMismatch, and those about orders and rows ErrData.
// Errors of input and output, such as a missing file, and errors that a sequence
// yields, wrap none of the kinds. Context errors remain in the chain.
package basket

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Predictor predicts the price of users' next baskets. It is safe for
// concurrent use, starts no goroutine and needs no Close.
type Predictor struct {
	store          Store
	features       []string // of the store
	serviceLoggers []guarded[ServiceLogger]
	modelLoggers   []guarded[ModelLogger]
	wrapModel      func(Model) Model // nil if models are called as they are
	maxAge         time.Duration     // of a row, see WithMaxAge; 0 if any
	stale          StalePolicy

	change sync.Mutex // held while routes is replaced
	routes atomic.Pointer[routes]
}

// New returns a Predictor over a store and one or more models. It does no I/O.
// Its error joins all faults of the options; each wraps ErrInvalidConfig, or
// ErrFeatureMismatch if the store lacks a feature of a model.
func New(opts ...Option) (*Predictor, error) {
	var c config
	for _, o := range opts {
		o(&c)
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	p := &Predictor{
		store: c.store, features: slices.Clone(c.store.Features()),
		wrapModel: c.wrapModel, maxAge: c.maxAge, stale: c.stale,
	}
	for _, l := range c.serviceLoggers {
		p.serviceLoggers = append(p.serviceLoggers, guarded[ServiceLogger]{logger: l, panicked: new(atomic.Bool)})
	}
	for _, l := range c.modelLoggers {
		p.modelLoggers = append(p.modelLoggers, guarded[ModelLogger]{logger: l, panicked: new(atomic.Bool)})
	}
	rs, err := p.bindAll(c.experiment, c.routes)
	if err != nil {
		return nil, err
	}
	p.routes.Store(rs)
	return p, nil
}

// A Prediction is a predicted price and the facts that it was computed from.
type Prediction struct {
	UserID   string
	Value    float64  // price, in the currency of Item.Price
	Route    string   // name of the route that answered
	Model    string   // the model's String, for audit across reloads
	ModelID  string   // ModelInfo.ID of a FileModel, see WithModelID; empty for other models
	Features []string // names of Row.Values; shared, not to be modified
	Row      Row      // as the store returned it, but for Age
}

// A Result is a Prediction, or the error that prevented it.
type Result struct {
	Prediction
	Err error
}

// Predict predicts the price of the user's next basket. Its errors wrap
// ErrInvalidRequest, ErrUserNotFound, ErrStale, ErrData, ErrFeatureMismatch, ErrPrediction,
// ErrUnavailable or ErrCanceled; the Prediction returned with an error holds what was known by
// then. A panic in the store or the model is returned as an error. With a
// MemoryStore, a FileModel and no logger, Predict allocates nothing.
func (p *Predictor) Predict(ctx context.Context, userID string) (Prediction, error) {
	if fault := userIDFault(userID); fault != "" {
		return Prediction{UserID: userID}, invalidUserID(fault)
	}
	var r Result
	p.predictValid(ctx, userID, &r)
	return r.Prediction, r.Err
}

func invalidUserID(fault string) error {
	return fmt.Errorf("basket: %w: user ID %s", ErrInvalidRequest, fault)
}

// predictValid sets r to the result for a user ID that is known to be valid, and
// returns the route that answered.
func (p *Predictor) predictValid(ctx context.Context, userID string, r *Result) *bound {
	rs := p.routes.Load()
	var start time.Time
	if len(p.modelLoggers) > 0 {
		start = time.Now()
	}
	b := rs.choose(userID)
	r.UserID, r.Route, r.Model, r.ModelID, r.Features = userID, b.name, b.text, b.id, p.features
	r.Row, r.Err = p.row(ctx, userID)
	if r.Err == nil {
		r.Value, r.Err = b.predictOne(ctx, r.Row.Values)
	}
	if len(p.modelLoggers) > 0 {
		p.logModel(ctx, ModelEvent{Time: start, Latency: time.Since(start), Answer: math.NaN(), Result: *r})
		if len(rs.shadow) > 0 && r.Row.Values != nil {
			p.runShadows(ctx, rs, []Result{*r})
		}
	}
	return b
}

// Routes returns the name of the experiment and the routes, as New, SetModel and
// SetRoutes have set them. The caller owns the slice.
func (p *Predictor) Routes() (experiment string, list []Route) {
	rs := p.routes.Load()
	for i := range rs.all {
		b := &rs.all[i]
		list = append(list, Route{Name: b.name, Model: b.given, Weight: b.weight, Shadow: b.shadow})
	}
	return rs.experiment, list
}

// batchRows bounds how many rows PredictBatch looks up and predicts at a time.
const batchRows = 4096

// PredictBatch returns one Result per user ID, in order. An error of one user
// does not affect the others. All are predicted by the same models, even if
// SetModel or SetRoutes is called meanwhile.
func (p *Predictor) PredictBatch(ctx context.Context, userIDs []string) []Result {
	results := make([]Result, len(userIDs))
	rs := p.routes.Load()
	for i := 0; i < len(userIDs); i += batchRows {
		end := min(i+batchRows, len(userIDs))
		p.predictBatch(ctx, rs, userIDs[i:end], results[i:end])
	}
	return results
}

func (p *Predictor) predictBatch(ctx context.Context, rs *routes, userIDs []string, results []Result) {
	start := time.Now()
	valid := make([]string, 0, len(userIDs)) // the IDs to look up
	index := make([]int, 0, len(userIDs))    // and where each is in results
	for i, userID := range userIDs {
		results[i].UserID = userID
		if fault := userIDFault(userID); fault != "" {
			results[i].Err = invalidUserID(fault)
			continue
		}
		b := rs.choose(userID)
		results[i].Route, results[i].Model, results[i].ModelID, results[i].Features = b.name, b.text, b.id, p.features
		valid, index = append(valid, userID), append(index, i)
	}
	rows, errs := p.rows(ctx, valid)
	for i, k := range index {
		results[k].Row, results[k].Err = rows[i], errs[i]
	}
	for _, b := range rs.answer {
		var mine []int
		for _, k := range index {
			if results[k].Err == nil && results[k].Route == b.name {
				mine = append(mine, k)
			}
		}
		b.predictAll(ctx, results, mine)
	}
	if len(p.modelLoggers) == 0 {
		return
	}
	latency := time.Since(start)
	for _, k := range index {
		p.logModel(ctx, ModelEvent{Time: start, Latency: latency, Answer: math.NaN(), Result: results[k]})
	}
	p.runShadows(ctx, rs, results)
}

// runShadows predicts by the shadows all results that have a row, and logs.
func (p *Predictor) runShadows(ctx context.Context, rs *routes, results []Result) {
	for _, b := range rs.shadow {
		start := time.Now()
		copies := slices.Clone(results)
		var mine []int
		for k := range copies {
			if copies[k].Row.Values != nil {
				copies[k].Route, copies[k].Model, copies[k].ModelID = b.name, b.text, b.id
				copies[k].Value, copies[k].Err = 0, nil
				mine = append(mine, k)
			}
		}
		b.predictAll(ctx, copies, mine)
		latency := time.Since(start)
		for _, k := range mine {
			answer := math.NaN()
			if results[k].Err == nil {
				answer = results[k].Value
			}
			p.logModel(ctx, ModelEvent{Time: start, Latency: latency, Shadow: true, Answer: answer, Result: copies[k]})
		}
	}
}

// SetModel replaces the model of a route. On error the old model stays; calls
// under way finish on it. The error wraps ErrFeatureMismatch if the store lacks
// a feature of m, and ErrInvalidConfig if there is no such route.
func (p *Predictor) SetModel(route string, m Model) error {
	b, err := p.bind(Route{Name: route, Model: m})
	if err != nil {
		return err
	}
	p.change.Lock()
	defer p.change.Unlock()
	old := p.routes.Load()
	all := slices.Clone(old.all)
	i := old.index(route)
	if i < 0 {
		return unknownRoute(route)
	}
	b.weight, b.shadow = all[i].weight, all[i].shadow
	all[i] = b
	p.routes.Store(newRoutes(old.experiment, all))
	return nil
}

// index returns the position of a route, or -1.
func (rs *routes) index(name string) int {
	return slices.IndexFunc(rs.all, func(b bound) bool { return b.name == name })
}

func unknownRoute(name string) error {
	return fmt.Errorf("basket: %w: no route is named %q: give it to New or SetRoutes first", ErrInvalidConfig, name)
}

// SetRoutes replaces all routes at once. A user stays on a route as long as
// experiment, route names and weights stay, and [Route] says whom a change of
// weights moves; another experiment name reassigns all users. On error the old
// routes stay; calls under way finish on them. The error joins all faults; each
// wraps ErrInvalidConfig, or ErrFeatureMismatch if the store lacks a feature of
// a model.
func (p *Predictor) SetRoutes(experiment string, list ...Route) error {
	if err := errors.Join(checkRoutes(list)...); err != nil {
		return err
	}
	rs, err := p.bindAll(experiment, list)
	if err != nil {
		return err
	}
	p.change.Lock()
	defer p.change.Unlock()
	p.routes.Store(rs)
	return nil
}

// row asks the store for one row. The row that is returned with ErrStale has no Values.
func (p *Predictor) row(ctx context.Context, userID string) (row Row, err error) {
	defer func() {
		if r := recover(); r != nil {
			row, err = Row{}, storePanic(r)
		}
	}()
	row, err = p.store.Row(ctx, userID)
	if err != nil {
		return Row{}, storeError(ctx, err)
	}
	if err := p.checkRow(row); err != nil {
		return Row{}, err
	}
	if p.maxAge > 0 {
		return p.aged(row, time.Now())
	}
	return row, nil
}

// rows asks the store for many rows.
func (p *Predictor) rows(ctx context.Context, userIDs []string) (rows []Row, errs []error) {
	rows, errs = make([]Row, len(userIDs)), make([]error, len(userIDs))
	defer func() {
		if r := recover(); r != nil {
			for i := range rows {
				rows[i], errs[i] = Row{}, storePanic(r)
			}
		}
	}()
	readRows(ctx, p.store, userIDs, rows, errs)
	now := time.Now()
	for i := range errs {
		if errs[i] != nil {
			rows[i], errs[i] = Row{}, storeError(ctx, errs[i])
		} else if errs[i] = p.checkRow(rows[i]); errs[i] != nil {
			rows[i] = Row{}
		} else if p.maxAge > 0 {
			rows[i], errs[i] = p.aged(rows[i], now)
		}
	}
	return rows, errs
}

// aged returns a row with its age if it is older than maxAge, and ErrStale if such a row
// is refused.
func (p *Predictor) aged(row Row, now time.Time) (Row, error) {
	age := now.Sub(row.OrderedAt)
	if row.OrderedAt.IsZero() || age <= p.maxAge {
		return row, nil
	}
	row.Age = max(row.Age, age)
	if p.stale == ServeStale {
		return row, nil
	}
	row.Values = nil
	return row, fmt.Errorf("basket: %w: the user's last order is %v old: want at most %v", ErrStale, age.Round(time.Second), p.maxAge)
}

func (p *Predictor) checkRow(row Row) error {
	if len(row.Values) != len(p.features) {
		return fmt.Errorf("basket: %w: store: a row of %d values: want %d, one for each of %s", ErrFeatureMismatch, len(row.Values), len(p.features), quoted(p.features))
	}
	return nil
}

// storeError gives an error of a store its kind.
func storeError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ErrUserNotFound), errors.Is(err, ErrUnavailable):
		return err
	case errors.Is(err, ErrData), errors.Is(err, ErrFeatureMismatch): // the same with every retry
		return err
	case isCanceled(ctx, err):
		return fmt.Errorf("basket: %w: store: %w", ErrCanceled, err)
	}
	return fmt.Errorf("basket: %w: store: %w", ErrUnavailable, err)
}

// isCanceled reports whether err says that the caller canceled ctx. A store or
// model may cancel contexts of its own, which is a failure.
func isCanceled(ctx context.Context, err error) bool {
	return errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled)
}

func storePanic(r any) error {
	return fmt.Errorf("basket: %w: store: %s", ErrUnavailable, panicText(r))
}

// guarded is a logger and whether it has panicked before.
type guarded[L any] struct {
	logger   L
	panicked *atomic.Bool
}

func (p *Predictor) logModel(ctx context.Context, e ModelEvent) {
	for _, g := range p.modelLoggers {
		func() {
			defer p.recoverLogger(ctx, g.panicked)
			g.logger.LogModel(ctx, e)
		}()
	}
}

func (p *Predictor) logService(ctx context.Context, e ServiceEvent) {
	for _, g := range p.serviceLoggers {
		func() {
			defer p.recoverLogger(ctx, g.panicked)
			g.logger.LogService(ctx, e)
		}()
	}
}

// recoverLogger, deferred, ends the panic of a logger, and reports the first one
// to the service loggers.
func (p *Predictor) recoverLogger(ctx context.Context, panicked *atomic.Bool) {
	if r := recover(); r != nil && !panicked.Swap(true) {
		p.logService(ctx, ServiceEvent{
			Time: time.Now(), Message: "A logger panicked; its further panics are not reported", Err: errors.New(panicText(r)),
		})
	}
}

// panicText returns the value of a panic and the function that caused it.
func panicText(r any) string {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	for panicked := false; ; {
		frame, more := frames.Next()
		if panicked && !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("panic: %v (in %s, line %d)", r, frame.Function, frame.Line)
		}
		panicked = panicked || frame.Function == "runtime.gopanic"
		if !more {
			return fmt.Sprintf("panic: %v", r)
		}
	}
}
