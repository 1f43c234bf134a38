// Package basket predicts the price of a user's next basket from a tree model,
// inside a Go service.
//
// There are two interfaces and one type. A [Store] knows a user's feature row. A
// [Model] turns rows into numbers. A [Predictor] binds one to the other by
// feature name, once, when [New] makes it, and from then on only looks up and
// computes. In the data's order:
//
//	orders.go    Order, Regular, Item: what happened
//	features.go  Materializer: orders to feature rows
//	store.go     MemoryStore: where rows wait
//	model.go     Model, ReadModel: rows to numbers; forest.go, the models that it reads
//	route.go     Route: which model answers
//	basket.go    Predictor; bind.go, its models; watch.go, reload
//	handler.go   NewHandler: the same over HTTP
//	log.go       what happened, told
//
// Package basketparquet reads orders from parquet files and package serve holds
// what a server needs around NewHandler. This package imports the standard
// library alone, holds no global state, and starts no goroutine but in
// PredictParallel, where the caller asks for them.
//
// # Errors
//
// Each failure wraps an [Error], of which there are seven, to be told by
// errors.Is. Context errors stay findable.
package basket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Predictor predicts the price of users' next baskets. It is safe for
// concurrent use, starts no goroutine and needs no Close.
type Predictor struct {
	store         Store
	features      []string // of the store
	experiment    string
	serviceLogger []ServiceLogger
	modelLogger   []ModelLogger

	set    sync.Mutex // held while routes changes
	routes atomic.Pointer[routes]
}

// routes is what SetModel swaps: immutable once it is stored.
type routes struct {
	answer []bound // routes with a weight
	shadow []bound
	total  uint64 // sum of the weights
}

// New returns a Predictor over a store and one or more models. It does no I/O;
// its error tells every fault of the options at once. A model whose features
// the store lacks is an ErrFeatureMismatch.
func New(opts ...Option) (*Predictor, error) {
	var c config
	for _, o := range opts {
		o(&c)
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	p := &Predictor{
		store: c.store, features: slices.Clone(c.store.Features()), experiment: c.experiment,
		serviceLogger: c.serviceLogger, modelLogger: c.modelLogger,
	}
	var all routes
	var faults []error
	for _, r := range c.routes {
		b, err := p.bind(r.Name, r.Model)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		b.weight = uint64(r.Weight)
		if r.Shadow {
			all.shadow = append(all.shadow, b)
		} else {
			all.answer = append(all.answer, b)
			all.total += b.weight
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	p.routes.Store(&all)
	return p, nil
}

// A Prediction is an answer and what it was made from.
type Prediction struct {
	UserID   string
	Value    float64  // price, in the currency of Item.Price
	Route    string   // name of the route that answered
	Model    string   // the model's String, for audit across reloads
	Features []string // names of Row.Values; shared, not to be modified
	Row      Row      // as the store had it
}

// A Result is a Prediction or the error that stands in its place.
type Result struct {
	Prediction
	Err error
}

// Predict predicts the price of the user's next basket. Its errors wrap
// ErrInvalidRequest, ErrUserNotFound, ErrPrediction or ErrUnavailable; with
// each comes a Prediction that holds what was known by then. A panic in the store
// or the model is an error. With a MemoryStore, a Forest and no logger it
// allocates nothing.
func (p *Predictor) Predict(ctx context.Context, userID string) (Prediction, error) {
	return p.predictBy(ctx, p.routes.Load(), userID)
}

func (p *Predictor) predictBy(ctx context.Context, all *routes, userID string) (Prediction, error) {
	if fault := userIDFault(userID); fault != "" {
		return Prediction{UserID: userID}, fmt.Errorf("basket: %w: user ID %s", ErrInvalidRequest, fault)
	}
	var start time.Time
	if len(p.modelLogger) > 0 {
		start = time.Now()
	}
	b := p.route(all, userID)
	result := Result{Prediction: Prediction{UserID: userID, Route: b.name, Model: b.text, Features: p.features}}
	result.Row, result.Err = p.row(ctx, userID)
	if result.Err == nil {
		result.Value, result.Err = b.predictOne(ctx, result.Row.Values)
	}
	if len(p.modelLogger) > 0 {
		p.logModel(ctx, ModelEvent{Time: start, Latency: time.Since(start), Result: result})
	}
	if len(all.shadow) > 0 && result.Row.Values != nil {
		p.runShadows(ctx, all, []Result{result})
	}
	return result.Prediction, result.Err
}

// An Explanation is a Prediction with SHAP contributions.
type Explanation struct {
	Prediction
	Bias          float64
	Contributions []float64 // by Features, in margin units; 0 for a feature that the model does not use
}

// Explain predicts and attributes: Bias plus the sum of Contributions is the
// margin, the score before the model's link function. Its errors are those of
// Predict, or wrap errors.ErrUnsupported if the model is no Explainer or none of
// its rows can be explained.
func (p *Predictor) Explain(ctx context.Context, userID string) (Explanation, error) {
	all := p.routes.Load() // once, so that the same model predicts and explains
	prediction, err := p.predictBy(ctx, all, userID)
	e := Explanation{Prediction: prediction}
	if err != nil {
		return e, err
	}
	b := p.route(all, userID)
	contributions, bias, err := b.explain(ctx, prediction.Row.Values)
	if err != nil {
		return e, err
	}
	e.Bias, e.Contributions = bias, contributions
	return e, nil
}

// batchRows bounds how many rows PredictBatch looks up and predicts at a time.
const batchRows = 4096

// PredictBatch returns one Result per user ID, in order. A user ID that cannot
// be served has an error of its own; the others are served all the same. All are
// predicted by the same models, whatever SetModel does meanwhile.
func (p *Predictor) PredictBatch(ctx context.Context, userIDs []string) []Result {
	results := make([]Result, len(userIDs))
	all := p.routes.Load()
	for i := 0; i < len(userIDs); i += batchRows {
		end := min(i+batchRows, len(userIDs))
		p.predictBatch(ctx, all, userIDs[i:end], results[i:end])
	}
	return results
}

func (p *Predictor) predictBatch(ctx context.Context, all *routes, userIDs []string, results []Result) {
	start := time.Now()
	valid := make([]string, 0, len(userIDs)) // what to ask the store for
	at := make([]int, 0, len(userIDs))       // and where it stands in results
	for i, userID := range userIDs {
		results[i].UserID = userID
		if fault := userIDFault(userID); fault != "" {
			results[i].Err = fmt.Errorf("basket: %w: user ID %s", ErrInvalidRequest, fault)
			continue
		}
		b := p.route(all, userID)
		results[i].Route, results[i].Model, results[i].Features = b.name, b.text, p.features
		valid, at = append(valid, userID), append(at, i)
	}
	rows, errs := p.rows(ctx, valid)
	for i, k := range at {
		results[k].Row, results[k].Err = rows[i], errs[i]
	}
	for r := range all.answer {
		b := &all.answer[r]
		mine := at[:0:0]
		for _, k := range at {
			if results[k].Err == nil && results[k].Route == b.name {
				mine = append(mine, k)
			}
		}
		b.predictAll(ctx, results, mine)
	}
	if len(p.modelLogger) > 0 {
		latency := time.Since(start)
		for _, k := range at {
			p.logModel(ctx, ModelEvent{Time: start, Latency: latency, Result: results[k]})
		}
	}
	if len(all.shadow) > 0 {
		p.runShadows(ctx, all, results)
	}
}

// runShadows lets the shadows predict what results have rows for.
func (p *Predictor) runShadows(ctx context.Context, all *routes, results []Result) {
	for r := range all.shadow {
		b := &all.shadow[r]
		start := time.Now()
		copies := slices.Clone(results)
		var mine []int
		for k := range copies {
			if copies[k].Row.Values != nil {
				copies[k].Route, copies[k].Model, copies[k].Value, copies[k].Err = b.name, b.text, 0, nil
				mine = append(mine, k)
			}
		}
		b.predictAll(ctx, copies, mine)
		latency := time.Since(start)
		for _, k := range mine {
			p.logModel(ctx, ModelEvent{Time: start, Latency: latency, Shadow: true, Result: copies[k]})
		}
	}
}

// SetModel puts m behind the route. On error the old model stays; calls under
// way finish on it. The error wraps ErrFeatureMismatch if the store lacks a
// feature that m wants.
func (p *Predictor) SetModel(route string, m Model) error {
	b, err := p.bind(route, m)
	if err != nil {
		return err
	}
	p.set.Lock()
	defer p.set.Unlock()
	old := p.routes.Load()
	next := &routes{answer: slices.Clone(old.answer), shadow: slices.Clone(old.shadow), total: old.total}
	for _, list := range [][]bound{next.answer, next.shadow} {
		for i := range list {
			if list[i].name == route {
				b.weight = list[i].weight
				list[i] = b
				p.routes.Store(next)
				return nil
			}
		}
	}
	return fmt.Errorf("basket: no route is named %q: a route is given to New", route)
}

// route returns the route that answers the user.
func (p *Predictor) route(all *routes, userID string) *bound {
	if len(all.answer) == 1 {
		return &all.answer[0]
	}
	share := routeShare(p.experiment, userID, all.total)
	for i := range all.answer {
		if share < all.answer[i].weight {
			return &all.answer[i]
		}
		share -= all.answer[i].weight
	}
	panic("basket: weights do not add up")
}

// row asks the store for one row.
func (p *Predictor) row(ctx context.Context, userID string) (row Row, err error) {
	defer func() {
		if r := recover(); r != nil {
			row, err = Row{}, fmt.Errorf("basket: %w: store: %s", ErrUnavailable, panicText(r))
		}
	}()
	row, err = p.store.Row(ctx, userID)
	if err != nil {
		return Row{}, storeError(err)
	}
	return row, p.checkRow(row)
}

// rows asks the store for many rows.
func (p *Predictor) rows(ctx context.Context, userIDs []string) (rows []Row, errs []error) {
	rows, errs = make([]Row, len(userIDs)), make([]error, len(userIDs))
	defer func() {
		if r := recover(); r != nil {
			for i := range rows {
				rows[i], errs[i] = Row{}, fmt.Errorf("basket: %w: store: %s", ErrUnavailable, panicText(r))
			}
		}
	}()
	readRows(ctx, p.store, userIDs, rows, errs)
	for i := range errs {
		if errs[i] != nil {
			rows[i], errs[i] = Row{}, storeError(errs[i])
		} else if errs[i] = p.checkRow(rows[i]); errs[i] != nil {
			rows[i] = Row{}
		}
	}
	return rows, errs
}

func (p *Predictor) checkRow(row Row) error {
	if len(row.Values) != len(p.features) {
		return fmt.Errorf("basket: %w: store: a row of %d values: want %d", ErrUnavailable, len(row.Values), len(p.features))
	}
	return nil
}

// storeError gives an error of a store its kind.
func storeError(err error) error {
	if errors.Is(err, ErrUserNotFound) || errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("basket: %w: store: %w", ErrUnavailable, err)
}

func (p *Predictor) logModel(ctx context.Context, e ModelEvent) {
	for _, l := range p.modelLogger {
		func() {
			defer func() { _ = recover() }()
			l.LogModel(ctx, e)
		}()
	}
}

func (p *Predictor) logService(ctx context.Context, e ServiceEvent) {
	for _, l := range p.serviceLogger {
		func() {
			defer func() { _ = recover() }()
			l.LogService(ctx, e)
		}()
	}
}
