package verdict

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/basket-go/basket"
)

// Limits of a log, which may be damaged or hostile.
const (
	maxLine   = 1 << 20 // bytes
	maxRoutes = 64
	maxModels = 8 // of a route, whose IDs are kept
	maxName   = 1024
	maxValue  = 1e100 // so that sums of squares are finite
)

// A Log collects the predictions of a structured log, as serve.SlogLogger writes
// it over slog.NewJSONHandler, by user and route. It keeps some 200 bytes per user
// besides the ID, 80 per user and route, and with orders 24 to 48 per prediction
// held, but not the lines. It is not safe for concurrent use.
type Log struct {
	// Since and Until limit what is read to predictions from Since on and before
	// Until; zero is no limit.
	Since, Until time.Time

	orders *Orders // nil if there are none
	routes []*routeLog
	users  []userLog // by first appearance, so that sums are repeatable
	index  map[string]int
	lines  Lines
	held   HeldCounts
	text   bool // a line has the form of serve.TextLogger
}

// Lines counts the lines of the logs.
type Lines struct {
	Read        int `json:"read"`        // all but empty ones
	Predictions int `json:"predictions"` // used
	Failures    int `json:"failures"`    // predictions that failed
	Outside     int `json:"outside"`     // predictions and failures before Since or from Until on
	Other       int `json:"other"`       // records of another message, of requests for example
	Damaged     int `json:"damaged"`     // no JSON object, too long, or a prediction that lacks a field
}

// HeldCounts says what became of the predictions that were to be held against
// orders.
type HeldCounts struct {
	NoOrders   int `json:"users_without_orders"`        // users of the log that are not in the data
	Waiting    int `json:"predictions_before_no_order"` // of users with orders, after their last one
	Superseded int `json:"predictions_superseded"`      // by a later one of the same user and route before the same order
	Held       int `json:"predictions_held"`
}

// A routeLog is what is kept of a route besides its users.
type routeLog struct {
	name                                            string
	predictions, shadows, errors, unknown, canceled int
	first, last                                     time.Time
	models                                          []string
	moreModels                                      bool
}

// shadow reports whether the route never answered.
func (r *routeLog) shadow() bool { return r.predictions > 0 && r.shadows == r.predictions }

type userLog struct {
	orders []order
	cells  []cell // of the routes that the user met, few
}

// A cell is a user in a route.
type cell struct {
	route       int
	predictions int
	errors      int
	mean        float64 // of the predictions
	held        []held  // by order
}

// A held is the last prediction before an order.
type held struct {
	order int   // index among the user's orders
	at    int64 // Unix microseconds
	value float64
}

// NewLog returns an empty Log. With orders, which may be nil, each user's last
// predictions before them are kept; the Log owns them.
func NewLog(orders *Orders) *Log {
	return &Log{orders: orders, index: map[string]int{}}
}

// Read adds the lines of a log, which may be compressed by gzip. Lines that are
// damaged or of another form are counted, not an error; the same holds for a gzip
// stream that ends early. Logs may be read in any order.
func (l *Log) Read(ctx context.Context, r io.Reader) error {
	in := bufio.NewReaderSize(r, maxLine)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("gzip: %w", err)
		}
		in = bufio.NewReaderSize(z, maxLine)
	}
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			l.lines.Read++
			l.lines.Damaged++
			err = skipLine(ctx, in)
		} else if addErr := l.addLine(line); addErr != nil {
			return addErr
		}
		switch {
		case err == io.EOF:
			return nil
		case damagedGzip(err):
			l.lines.Damaged++
			return nil
		case err != nil:
			return err
		}
	}
}

func damagedGzip(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.As(err, &corrupt)
}

// skipLine reads to the end of a line, which may be as long as the log.
func skipLine(ctx context.Context, in *bufio.Reader) error {
	for {
		_, err := in.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// A record is a line of the log.
type record struct {
	Time    string   `json:"time"`
	Level   string   `json:"level"`
	Msg     string   `json:"msg"`
	UserID  string   `json:"user_id"`
	Route   string   `json:"route"`
	ModelID string   `json:"model_id"`
	Value   *float64 `json:"value"`
	Shadow  bool     `json:"shadow"`
	Type    string   `json:"type"`

	at time.Time // Time, by valid
}

func (l *Log) addLine(line []byte) error {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return nil
	}
	l.lines.Read++
	var r record
	err := json.Unmarshal(line, &r)
	prediction := r.Msg == "prediction" || r.Msg == "prediction failed"
	var syntax *json.SyntaxError
	switch {
	case line[0] != '{' || errors.As(err, &syntax):
		l.text = l.text || bytes.Contains(line, []byte(" | PREDICTION | ")) || bytes.Equal(line, []byte("MODEL METRICS LOG"))
		l.lines.Damaged++
	case !prediction: // fields of other programs' records may have any type
		l.lines.Other++
	case err != nil || !r.valid():
		l.lines.Damaged++
	case !l.Since.IsZero() && r.at.Before(l.Since), !l.Until.IsZero() && !r.at.Before(l.Until):
		l.lines.Outside++
	default:
		return l.add(&r)
	}
	return nil
}

// valid reports whether a prediction or the failure of one has its fields.
func (r *record) valid() bool {
	var err error
	if r.at, err = time.Parse(time.RFC3339, r.Time); err != nil || r.at.IsZero() {
		return false
	}
	if r.UserID == "" || len(r.UserID) > basket.MaxUserID || r.Route == "" || len(r.Route) > maxName || len(r.ModelID) > maxName {
		return false
	}
	return r.Msg != "prediction" || r.Value != nil && math.Abs(*r.Value) <= maxValue
}

func (l *Log) add(r *record) error {
	route, err := l.route(r.Route)
	if err != nil {
		return err
	}
	log := l.routes[route]
	if r.Msg != "prediction" {
		l.lines.Failures++
		switch {
		case r.Type == "UserNotFound":
			log.unknown++ // for any model
		case r.Level == "INFO":
			log.canceled++ // by the client
		default:
			log.errors++
			l.cell(l.user(r.UserID), route).errors++
		}
		return nil
	}
	l.lines.Predictions++
	log.add(r)
	user := l.user(r.UserID)
	c := l.cell(user, route)
	c.predictions++
	c.mean += (*r.Value - c.mean) / float64(c.predictions)
	if len(user.orders) > 0 {
		l.hold(user.orders, c, micros(r.at), *r.Value)
	}
	return nil
}

// hold keeps a prediction if it is the last one before the next order.
func (l *Log) hold(orders []order, c *cell, at int64, value float64) {
	h := held{next(orders, at), at, value}
	if h.order == len(orders) {
		l.held.Waiting++
		return
	}
	i, found := len(c.held), false
	if i > 0 && h.order <= c.held[i-1].order { // logs are sorted by time, nearly
		i, found = slices.BinarySearchFunc(c.held, h.order, func(h held, order int) int { return h.order - order })
	}
	switch {
	case !found:
		l.held.Held++
		c.held = slices.Insert(c.held, i, h)
	case at >= c.held[i].at: // of equal times, the later line
		l.held.Superseded++
		c.held[i] = h
	default:
		l.held.Superseded++
	}
}

// add adds a prediction to what is kept of its route.
func (r *routeLog) add(p *record) {
	if r.predictions == 0 || p.at.Before(r.first) {
		r.first = p.at
	}
	if r.predictions == 0 || p.at.After(r.last) {
		r.last = p.at
	}
	r.predictions++
	if p.Shadow {
		r.shadows++
	}
	switch {
	case p.ModelID == "" || slices.Contains(r.models, p.ModelID):
	case len(r.models) == maxModels:
		r.moreModels = true
	default:
		r.models = append(r.models, p.ModelID)
	}
}

// route returns the index of a route, which it adds if it is new.
func (l *Log) route(name string) (int, error) {
	if i := slices.IndexFunc(l.routes, func(r *routeLog) bool { return r.name == name }); i >= 0 {
		return i, nil
	}
	if len(l.routes) == maxRoutes {
		return 0, fmt.Errorf("route %.64q is one more than %d: want at most that many", name, maxRoutes)
	}
	l.routes = append(l.routes, &routeLog{name: name})
	return len(l.routes) - 1, nil
}

// user returns a user, which it adds if it is new. It is valid until the next
// call.
func (l *Log) user(userID string) *userLog {
	i, ok := l.index[userID]
	if !ok {
		i = len(l.users)
		l.index[userID] = i
		l.users = append(l.users, userLog{})
		if l.orders != nil {
			if l.users[i].orders = l.orders.of(userID); l.users[i].orders == nil {
				l.held.NoOrders++
			}
		}
	}
	return &l.users[i]
}

// cell returns a user's cell of a route, valid until the next call.
func (l *Log) cell(u *userLog, route int) *cell {
	for i := range u.cells {
		if u.cells[i].route == route {
			return &u.cells[i]
		}
	}
	u.cells = append(u.cells, cell{route: route})
	return &u.cells[len(u.cells)-1]
}
