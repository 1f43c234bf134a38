package basketgrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/oip"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// calls puts HTTP middleware, loggers and the table of errors around calls.
type calls struct {
	*config
	unaryMethods map[string]bool
}

// begin lets a call in, or not, before its message is read, for which it limits the time.
func (c *calls) begin(ctx context.Context, info *tap.Info) (context.Context, error) {
	if c.access != nil {
		var err error
		if ctx, err = c.letIn(ctx, info); err != nil {
			return ctx, err
		}
	}
	if !c.unaryMethods[info.FullMethodName] {
		return ctx, nil
	}
	ctx, cancel := context.WithCancel(ctx) // canceled with its parent, the call's
	return context.WithValue(ctx, readTimer{}, time.AfterFunc(c.readLimit, cancel)), nil
}

// readTimer is the key of the timer that ends a call whose message does not come.
type readTimer struct{}

// letIn runs the middleware that decides about access.
func (c *calls) letIn(ctx context.Context, info *tap.Info) (context.Context, error) {
	w := newRefusal()
	var in context.Context
	c.access(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { in = r.Context() })).
		ServeHTTP(w, requestOf(ctx, info.FullMethodName, info.Header))
	if in == nil {
		return ctx, w.err()
	}
	return in, nil
}

// unary runs a call within the middleware.
func (c *calls) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, call grpc.UnaryHandler) (answer any, err error) {
	if timer, ok := ctx.Value(readTimer{}).(*time.Timer); ok {
		timer.Stop()
	}
	called := false
	h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called = true
		start := time.Now()
		answer, err = recovered(r.Context(), req, call)
		code, cause := httpStatus(err)
		for _, l := range c.loggers {
			l.LogService(r.Context(), basket.ServiceEvent{
				Time: start, Latency: time.Since(start), Method: http.MethodPost, Path: info.FullMethod, Status: code, Err: cause,
			})
		}
		if code == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		w.WriteHeader(code)
	}))
	for i := len(c.middleware) - 1; i >= 0; i-- {
		h = c.middleware[i](h)
	}
	w := newRefusal()
	md, _ := metadata.FromIncomingContext(ctx)
	h.ServeHTTP(w, requestOf(ctx, info.FullMethod, md))
	_ = grpc.SetHeader(ctx, w.metadata()) // fails only if the client is gone
	if !called {
		return nil, w.err()
	}
	return answer, statusOf(err)
}

// recovered runs a call, of which a panic is an error: it would end the program.
func recovered(ctx context.Context, req any, call grpc.UnaryHandler) (answer any, err error) {
	defer func() {
		if r := recover(); r != nil {
			answer, err = nil, &oip.Error{Status: http.StatusInternalServerError, Text: "internal error", Err: fmt.Errorf("basketgrpc: panic: %v", r)}
		}
	}()
	return call(ctx, req)
}

// requestOf returns the request that a call is to HTTP middleware.
func requestOf(ctx context.Context, method string, md metadata.MD) *http.Request {
	r := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: method}, RequestURI: method,
		Proto: "HTTP/2.0", ProtoMajor: 2, Header: make(http.Header, len(md)), Body: http.NoBody,
	}
	for key, values := range md {
		if key == ":authority" && len(values) > 0 {
			r.Host = values[0]
		}
		if !strings.HasPrefix(key, ":") && !strings.HasSuffix(key, "-bin") {
			r.Header[http.CanonicalHeaderKey(key)] = values
		}
	}
	if p, ok := peer.FromContext(ctx); ok {
		if p.Addr != nil {
			r.RemoteAddr = p.Addr.String()
		}
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			r.TLS = &info.State
		}
	}
	return r.WithContext(ctx)
}

// table has the code that belongs to each status of HTTP; that of others is INTERNAL.
var table = map[int]codes.Code{
	http.StatusOK:                    codes.OK,
	http.StatusBadRequest:            codes.InvalidArgument,
	http.StatusUnauthorized:          codes.Unauthenticated,
	http.StatusForbidden:             codes.PermissionDenied,
	http.StatusNotFound:              codes.NotFound,
	http.StatusConflict:              codes.FailedPrecondition,
	http.StatusRequestEntityTooLarge: codes.ResourceExhausted,
	http.StatusUnsupportedMediaType:  codes.Unimplemented,
	http.StatusTooManyRequests:       codes.ResourceExhausted,
	499:                              codes.Canceled, // nginx's status for a client that is gone
	http.StatusNotImplemented:        codes.Unimplemented,
	http.StatusServiceUnavailable:    codes.Unavailable,
	http.StatusGatewayTimeout:        codes.DeadlineExceeded,
}

// codeOf returns the code that belongs to a status of HTTP.
func codeOf(httpStatus int) codes.Code {
	if c, ok := table[httpStatus]; ok {
		return c
	}
	return codes.Internal
}

// statusOf returns the error that a client gets for an error of a call.
func statusOf(err error) error {
	if e, ok := errors.AsType[*oip.Error](err); ok {
		return status.Error(codeOf(e.Status), e.Text)
	}
	return err // nil, or a status already
}

// httpStatus returns the status of HTTP of a call, and the cause for the log.
func httpStatus(err error) (code int, cause error) {
	if err == nil {
		return http.StatusOK, nil
	}
	if e, ok := errors.AsType[*oip.Error](err); ok {
		return e.Status, e.Err
	}
	cause = fmt.Errorf("basketgrpc: %w", err)
	switch status.Code(err) {
	case codes.InvalidArgument:
		return http.StatusBadRequest, fmt.Errorf("%w: %w", basket.ErrInvalidRequest, cause)
	case codes.NotFound:
		return http.StatusNotFound, cause
	}
	return http.StatusInternalServerError, cause
}

// A refusal is what middleware answers by itself.
type refusal struct {
	header http.Header
	status int
	body   []byte
}

// maxRefusal is the most bytes of an answer that are kept.
const maxRefusal = 4 << 10

func newRefusal() *refusal { return &refusal{header: http.Header{}} }

func (w *refusal) Header() http.Header { return w.header }

func (w *refusal) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

func (w *refusal) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, p[:min(len(p), maxRefusal-len(w.body))]...)
	return len(p), nil
}

// err returns the error of the call.
func (w *refusal) err() error {
	code := w.status
	if code < 400 { // a redirect, or nothing at all
		code = http.StatusInternalServerError
	}
	var body struct{ Error, Detail string }
	_ = json.Unmarshal(w.body, &body) // else there is no text
	text := body.Error + body.Detail
	if text == "" {
		text = http.StatusText(code)
	}
	return status.Error(codeOf(code), text)
}

// metadata returns the header of the answer, but for what is of its body.
func (w *refusal) metadata() metadata.MD {
	md := metadata.MD{}
	for key, values := range w.header {
		if key = strings.ToLower(key); !strings.HasPrefix(key, "content-") {
			md[key] = values
		}
	}
	return md
}
