package serve

import "context"

// TraceIDOf returns the ID of the trace that a request belongs to, by the request's
// context, or "".
func TraceIDOf(ctx context.Context) string {
	if info := infoOf(ctx); info != nil {
		return info.traceID
	}
	return ""
}

// WithTraceID returns a context for which [TraceIDOf] returns id. [SlogLogger] and
// [JSONLogger] write it, so that the lines of a request are found by its trace. This
// package does not know traces: who starts one, or continues a client's, sets the ID.
func WithTraceID(ctx context.Context, id string) context.Context {
	return withInfo(ctx, func(info *requestInfo) { info.traceID = id })
}
