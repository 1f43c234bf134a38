package basketkafka

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/basket-go/basket"
	"github.com/go-json-experiment/json/jsontext"
)

// EventSchema is the JSON Schema of an order event.
//
//go:embed event.schema.json
var EventSchema string

// MaxEvent is the size of the largest event, in bytes.
const MaxEvent = 1 << 20

// maxAhead is how far an event time may lie ahead of the clock. A row of a far time
// would stay the user's newest for ever.
const maxAhead = 24 * time.Hour

// An Event is an order of a stream.
type Event struct {
	basket.Order

	// Sequence tells an order of the user from the others: two events of a user with
	// the same sequence are one order, sent twice. Of two orders of equal time, the one
	// of the lower sequence comes first. It is not negative.
	Sequence int64
}

// AppendEvent appends an event in the form of [EventSchema]. The key of its record is
// the user ID, so that the events of a user are in one partition.
func AppendEvent(dst []byte, e Event) []byte {
	id, _ := json.Marshal(e.UserID) // a string has no error
	dst = append(append(dst, `{"user_id":`...), id...)
	dst = append(dst, `,"created_at":"`...)
	dst = e.OrderedAt.AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","sequence":`...)
	dst = strconv.AppendInt(dst, e.Sequence, 10)
	dst = append(dst, `,"ordered_items":[`...)
	for i, v := range e.Items {
		if i > 0 {
			dst = append(dst, ',')
		}
		if v == basket.NoVariant {
			dst = append(dst, "null"...)
			continue
		}
		dst = strconv.AppendInt(dst, v, 10)
	}
	return append(dst, "]}"...)
}

// ParseEvent reads an event and the key of its record. Fields that the schema does not
// name are skipped. Its errors wrap [basket.ErrData].
func ParseEvent(key, value []byte) (Event, error) {
	var p parser
	return p.parse(key, value, time.Now())
}

// A parser reads events. It uses memory again, that of an event's Items too.
type parser struct {
	reader  bytes.Reader
	decoder jsontext.Decoder
	items   []int64
}

// The fields of an event, as bits of those that it has.
const (
	hasUserID = 1 << iota
	hasCreatedAt
	hasSequence
	hasItems
)

func (p *parser) parse(key, value []byte, now time.Time) (Event, error) {
	if len(value) > MaxEvent {
		return Event{}, fault("event has %d bytes: want at most %d", len(value), MaxEvent)
	}
	p.reader.Reset(value)
	p.decoder.Reset(&p.reader)
	var e Event
	has, err := p.readObject(&e)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Event{}, fault("event is no JSON: it ends too early")
	case err != nil:
		return Event{}, err
	case has&hasUserID == 0:
		return Event{}, fault("event has no user_id")
	case has&hasCreatedAt == 0:
		return Event{}, fault("event has no created_at")
	case has&hasSequence == 0:
		return Event{}, fault("event has no sequence")
	case has&hasItems == 0:
		return Event{}, fault("event has no ordered_items")
	case e.UserID == "" || len(e.UserID) > basket.MaxUserID:
		return Event{}, fault("user_id has %d bytes: want 1 to %d", len(e.UserID), basket.MaxUserID)
	case string(key) != e.UserID:
		return Event{}, fault("record has the key %.64q, and its event the user_id %.64q: want the same", key, e.UserID)
	case e.Sequence < 0:
		return Event{}, fault("sequence %d: want 0 or more", e.Sequence)
	case e.OrderedAt.Unix() < 0:
		return Event{}, fault("created_at %s: want 1970 or later", e.OrderedAt.Format(time.RFC3339Nano))
	case e.OrderedAt.After(now.Add(maxAhead)):
		return Event{}, fault("created_at %s is more than %v ahead of the clock", e.OrderedAt.Format(time.RFC3339Nano), maxAhead)
	}
	return e, nil
}

// readObject reads the one object of a value, and returns which fields it has.
func (p *parser) readObject(e *Event) (has int, err error) {
	if kind := p.decoder.PeekKind(); kind != '{' && kind != 0 {
		return 0, fault("event is a JSON %s: want an object", kind)
	}
	if _, err := p.decoder.ReadToken(); err != nil {
		return 0, noJSON(err)
	}
	for p.decoder.PeekKind() == '"' {
		name, err := p.decoder.ReadToken()
		if err != nil {
			return 0, noJSON(err)
		}
		field, read := 0, (*parser).skip
		switch name.String() {
		case "user_id":
			field, read = hasUserID, (*parser).readUserID
		case "created_at":
			field, read = hasCreatedAt, (*parser).readTime
		case "sequence":
			field, read = hasSequence, (*parser).readSequence
		case "ordered_items":
			field, read = hasItems, (*parser).readItems
		}
		if err := read(p, e); err != nil {
			return 0, err
		}
		has |= field
	}
	if _, err := p.decoder.ReadToken(); err != nil {
		return 0, noJSON(err)
	}
	if _, err := p.decoder.ReadToken(); err == nil {
		return 0, fault("event is followed by another JSON value: want one object")
	} else if !errors.Is(err, io.EOF) {
		return 0, noJSON(err)
	}
	return has, nil
}

func (p *parser) skip(*Event) error { return noJSON(p.decoder.SkipValue()) }

func (p *parser) readUserID(e *Event) error {
	token, err := p.decoder.ReadToken()
	if err != nil {
		return noJSON(err)
	}
	if token.Kind() != '"' {
		return fault("user_id is a JSON %s: want a string", token.Kind())
	}
	e.UserID = token.String()
	return nil
}

func (p *parser) readTime(e *Event) error {
	token, err := p.decoder.ReadToken()
	if err != nil {
		return noJSON(err)
	}
	if token.Kind() != '"' {
		return fault("created_at is a JSON %s: want a string", token.Kind())
	}
	text := token.String()
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return fault("created_at %.64q: want a time with its zone, as 2026-01-02T15:04:05Z", text)
	}
	e.OrderedAt = t.UTC()
	return nil
}

func (p *parser) readSequence(e *Event) error {
	value, err := p.decoder.ReadValue()
	if err != nil {
		return noJSON(err)
	}
	if e.Sequence, err = strconv.ParseInt(string(value), 10, 64); err != nil {
		return fault("sequence is %.40s: want an integer from 0 to %d", value, int64(math.MaxInt64))
	}
	return nil
}

func (p *parser) readItems(e *Event) error {
	token, err := p.decoder.ReadToken()
	if err != nil {
		return noJSON(err)
	}
	if token.Kind() != '[' {
		return fault("ordered_items is a JSON %s: want an array", token.Kind())
	}
	p.items = p.items[:0]
	for p.decoder.PeekKind() != ']' {
		value, err := p.decoder.ReadValue()
		if err != nil {
			return noJSON(err)
		}
		if value.Kind() == 'n' {
			p.items = append(p.items, basket.NoVariant)
			continue
		}
		v, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || v == basket.NoVariant {
			return fault("ordered_items[%d] is %.40s: want an integer from %d to %d, or null", len(p.items), value, int64(math.MinInt64+1), int64(math.MaxInt64))
		}
		p.items = append(p.items, v)
	}
	e.Items = p.items
	return p.skipEnd()
}

func (p *parser) skipEnd() error {
	_, err := p.decoder.ReadToken()
	return noJSON(err)
}

// noJSON is the error for bytes that are no JSON. The end of the bytes stays what it
// is.
func noJSON(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return fault("event is no JSON: %w", err)
}

func fault(format string, args ...any) error {
	return fmt.Errorf("basketkafka: %w: "+format, append([]any{basket.ErrData}, args...)...)
}
