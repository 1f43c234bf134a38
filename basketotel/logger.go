package basketotel

import (
	"context"
	"errors"
	"strings"

	"github.com/basket-go/basket"
	"go.opentelemetry.io/otel/attribute"
)

// A predictionKey is the attributes of basket.predictions.
type predictionKey struct {
	route, model, kind string
	shadow             bool
}

func (k predictionKey) set() attribute.Set {
	return withKind([]attribute.KeyValue{
		attribute.String("basket.route", attributeText(k.route)),
		attribute.String("basket.model", attributeText(k.model)),
		attribute.Bool("basket.shadow", k.shadow),
	}, k.kind)
}

func (k predictionKey) other() predictionKey {
	return predictionKey{other, other, k.kind, k.shadow}
}

// LogModel counts a prediction.
func (t *Telemetry) LogModel(_ context.Context, e basket.ModelEvent) {
	model := e.ModelID
	if model == "" {
		model = e.Model
	}
	t.predictions.get(predictionKey{e.Route, model, kindOf(e.Err), e.Shadow}).n.Add(1)
}

// LogService tells the [Telemetry.Handler] of the request what failed. Without a
// Handler it records http.server.request.duration. It ignores events outside a
// request.
func (t *Telemetry) LogService(ctx context.Context, e basket.ServiceEvent) {
	if e.Method == "" {
		return
	}
	kind := kindOf(e.Err)
	if r := requestOf(ctx); r != nil {
		if kind != "" {
			r.kind.Store(&kind)
		}
		return
	}
	t.record(ctx, e.Latency, e.Method, e.Path, e.Status, kind)
}

// kinds are the values of error.type for kinds of package basket. Others would not
// be bounded: any text can be a basket.Error.
var kinds = func() map[basket.Error]string {
	m := map[basket.Error]string{}
	for _, k := range []basket.Error{
		basket.ErrInvalidRequest, basket.ErrUserNotFound, basket.ErrPrediction, basket.ErrUnavailable, basket.ErrCanceled,
		basket.ErrFeatureMismatch, basket.ErrModelFormat, basket.ErrData, basket.ErrInvalidConfig,
	} {
		m[k] = strings.ReplaceAll(string(k), " ", "_")
	}
	return m
}()

// kindOf returns error.type, or "" if nothing failed.
func kindOf(err error) string {
	if err == nil {
		return ""
	}
	kind, _ := errors.AsType[basket.Error](err)
	text, ok := kinds[kind]
	switch {
	case ok:
		return text
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return other
}
