package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

type addressKey struct{}

// ClientAddressOf returns the client's address of a request that has passed
// [ClientAddress], by the request's context. It is the zero Addr for another request,
// and for one on a Unix socket without a proxy's word.
func ClientAddressOf(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(addressKey{}).(netip.Addr)
	return addr
}

// ClientAddress finds the address of each request's client: the peer of the
// connection, or, if that is a proxy in one of the networks trusted, the address that
// it names in the header field, which is "X-Forwarded-For" or "Forwarded" of RFC 7239.
// Of several addresses it is the last one that is not itself a trusted proxy, since
// clients can make up those before it. Where that word is malformed or missing, it
// is the peer.
//
// The proxy must set or extend this field in every request; one that it passes on
// unchanged is the client's word. ClientAddress refuses networks that hold every
// address.
func ClientAddress(header string, trusted []netip.Prefix) (func(http.Handler) http.Handler, error) {
	var faults []error
	parse := map[string]func(line string) ([]netip.Addr, bool){"X-Forwarded-For": xForwardedFor, "Forwarded": forwarded}[header]
	if parse == nil {
		faults = append(faults, fmt.Errorf("serve: client address from the header %.64q: want X-Forwarded-For or Forwarded", header))
	}
	var networks []netip.Prefix
	for _, p := range trusted {
		if !p.IsValid() || p.Bits() == 0 {
			faults = append(faults, fmt.Errorf("serve: trusted proxy %v: want a network, such as 10.0.0.0/8, that does not hold every address", p))
			continue
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 { // addresses are compared unmapped
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		networks = append(networks, p)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	isProxy := func(addr netip.Addr) bool {
		for _, p := range networks {
			if p.Contains(addr) {
				return true
			}
		}
		return false
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			addr := peerAddress(r)
			if isProxy(addr) {
				addr = forwardedAddress(addr, r.Header[header], parse, isProxy)
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), addressKey{}, addr)))
		})
	}, nil
}

// peerAddress returns the address of the other end of the connection, or the zero
// Addr.
func peerAddress(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// maxForwarded is the length up to which a line is read.
const maxForwarded = 8 << 10

// forwardedAddress returns the last address of the lines that is not a proxy's, the
// first of all if all are proxies', or peer.
func forwardedAddress(peer netip.Addr, lines []string, parse func(string) ([]netip.Addr, bool), isProxy func(netip.Addr) bool) netip.Addr {
	client := peer
	for i := len(lines) - 1; i >= 0; i-- {
		if len(lines[i]) > maxForwarded {
			return peer
		}
		addrs, ok := parse(lines[i])
		if !ok {
			return peer
		}
		for j := len(addrs) - 1; j >= 0; j-- {
			if client = addrs[j]; !client.IsValid() {
				return peer
			}
			if !isProxy(client) {
				return client
			}
		}
	}
	return client
}

// xForwardedFor returns the addresses of a line, the zero Addr for a malformed one.
func xForwardedFor(line string) (addrs []netip.Addr, ok bool) {
	for text := range strings.SplitSeq(line, ",") {
		addrs = append(addrs, parseNode(strings.Trim(text, " \t")))
	}
	return addrs, true
}

// letters are those of parameter names. RFC 7239 permits more, which nobody uses.
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// forwarded returns the addresses of a line of RFC 7239, the zero Addr for an element
// without one, and false if its quotes or separators are malformed.
func forwarded(line string) (addrs []netip.Addr, ok bool) {
	rest := line
	node := netip.Addr{}
	for {
		var name, value string
		if name, rest, ok = strings.Cut(rest, "="); !ok {
			return nil, false
		}
		if value, rest, ok = cutValue(rest); !ok {
			return nil, false
		}
		if name = strings.Trim(name, " \t"); name == "" || strings.Trim(name, letters) != "" {
			return nil, false // or a comma of the proxy's would be part of a name
		}
		if strings.EqualFold(name, "for") {
			if node.IsValid() {
				return nil, false // two in one element
			}
			node = parseNode(value)
		}
		rest = strings.TrimLeft(rest, " \t")
		switch {
		case rest == "":
			return append(addrs, node), true
		case rest[0] == ',':
			addrs, node = append(addrs, node), netip.Addr{}
		case rest[0] != ';':
			return nil, false
		}
		rest = rest[1:]
	}
}

// cutValue returns a token or the content of a quoted string, and what follows it.
// Addresses need no escapes, so a string with one is refused.
func cutValue(s string) (value, rest string, ok bool) {
	if quoted, isQuoted := strings.CutPrefix(s, `"`); isQuoted {
		value, rest, ok = strings.Cut(quoted, `"`)
		return value, rest, ok && !strings.Contains(value, `\`)
	}
	end := strings.IndexAny(s, ",; \t")
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:], end > 0 && !strings.ContainsAny(s[:end], `"=`)
}

// parseNode returns the address of "192.0.2.1", "192.0.2.1:80", "2001:db8::1",
// "[2001:db8::1]" or "[2001:db8::1]:80", or the zero Addr.
func parseNode(text string) netip.Addr {
	if port, err := netip.ParseAddrPort(text); err == nil {
		return port.Addr().Unmap().WithZone("")
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok || !strings.Contains(text, ":") {
			return netip.Addr{}
		}
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}
