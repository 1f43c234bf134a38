package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/dash"
)

// uiPath is where --ui serves the page.
const uiPath = "/ui"

// openUI adds what counts requests for the page, if there is one.
func (s *server) openUI() {
	if s.UI {
		s.recorder = dash.NewRecorder()
		s.services = append(s.services, s.recorder)
		s.opts = append(s.opts, basket.WithModelLogger(s.recorder))
	}
}

// withUI serves the page under its path, if there is one, and all others by next. The page
// is outside of the limits, as its event stream lasts for minutes.
func (s *server) withUI(ctx context.Context, p *basket.Predictor, next http.Handler) http.Handler {
	if !s.UI {
		return next
	}
	opts := []dash.Option{
		dash.WithRecorder(s.recorder), dash.WithContext(ctx), dash.WithNewest(s.newestOrder),
		dash.WithAdmin(func(*http.Request) bool { return s.Auth.on() || s.Auth.Admin }), // with keys, only administrators get here
	}
	if s.monitor != nil {
		opts = append(opts, dash.WithMonitor(s.monitor))
	}
	if s.routes != nil {
		opts = append(opts, dash.WithRoutes(s.routes))
	}
	if s.models != nil {
		opts = append(opts, dash.WithRepository(s.models, s.Models))
	}
	page := http.StripPrefix(uiPath, dash.NewHandler(p, opts...))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == uiPath || strings.HasPrefix(r.URL.Path, uiPath+"/") {
			page.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// newestOrder returns the time of the newest order, or the zero time if it is not known.
func (s *server) newestOrder() time.Time {
	if state := s.dataState(); state != nil {
		return state.Newest
	}
	return time.Time{}
}
