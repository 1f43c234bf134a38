package serve_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

// An authority issues certificates in a folder.
type authority struct {
	t                 testing.TB
	key               *ecdsa.PrivateKey
	cert              *x509.Certificate
	certFile, keyFile string
	issued            int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, certFile: filepath.Join(t.TempDir(), "tls.crt"), keyFile: filepath.Join(t.TempDir(), "tls.key")}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(1000 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue returns a certificate that expires at a time, and its key, in PEM form.
func (a *authority) issue(notAfter time.Time) (certPEM, keyPEM []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.issued++
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1 + a.issued), NotBefore: time.Unix(0, 0), NotAfter: notAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certDER, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func (a *authority) write(path string, text []byte) {
	a.t.Helper()
	if err := errors.Join(os.WriteFile(path+".new", text, 0o600), os.Rename(path+".new", path)); err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) load() *serve.Certificate {
	a.t.Helper()
	c, err := serve.LoadCertificate(a.certFile, a.keyFile)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// TestCertificate_Watch: a new certificate is used once both files have settled and
// fit together; until then the old one stays, and the fault is told once.
func TestCertificate_Watch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		hours := func(n int) time.Time { return time.Now().Add(time.Duration(n) * time.Hour).UTC().Truncate(time.Second) }
		until := []time.Time{hours(10), hours(20), hours(30), hours(-1)}
		var certs, keys [4][]byte
		for i := range until {
			certs[i], keys[i] = a.issue(until[i])
		}
		a.write(a.certFile, certs[0])
		a.write(a.keyFile, keys[0])
		c := a.load()

		var reports []string
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- c.Watch(ctx, time.Second, func(err error) {
				text := strings.NewReplacer(a.certFile, "tls.crt", a.keyFile, "tls.key", until[3].Format(time.RFC3339), "PAST").Replace(fmt.Sprint(err))
				reports = append(reports, text)
			})
		}()
		time.Sleep(time.Second / 2) // so that Watch does not look while the files change
		step := func(name string, change func(), want time.Time) {
			t.Helper()
			change()
			time.Sleep(10 * time.Second)
			if !c.NotAfter().Equal(want) {
				t.Errorf("%s: the certificate is that until %v, want %v", name, c.NotAfter(), want)
			}
		}
		step("unchanged", func() {}, until[0])
		step("both at once", func() { a.write(a.certFile, certs[1]); a.write(a.keyFile, keys[1]) }, until[1])
		step("a certificate without its key", func() { a.write(a.certFile, certs[2]) }, until[1])
		step("and then its key", func() { a.write(a.keyFile, keys[2]) }, until[2])
		step("damaged", func() { a.write(a.certFile, certs[0][:100]) }, until[2])
		step("missing", func() { _ = os.Remove(a.certFile); _ = os.Remove(a.keyFile) }, until[2])
		step("expired", func() { a.write(a.certFile, certs[3]); a.write(a.keyFile, keys[3]) }, until[2])
		step("back", func() { a.write(a.certFile, certs[0]); a.write(a.keyFile, keys[0]) }, until[0])
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch: %v", err)
		}
		want := []string{
			"<nil>",
			"serve: certificate tls.crt with key tls.key: tls: private key does not match public key",
			"<nil>",
			"serve: certificate tls.crt with key tls.key: tls: failed to find any PEM data in certificate input",
			"open tls.crt: no such file or directory\nopen tls.key: no such file or directory",
			"serve: certificate tls.crt expired at PAST: want a newer one",
			"<nil>",
		}
		if diff := cmp.Diff(want, reports); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
	})
}

func TestLoadCertificate_refuses(t *testing.T) {
	a := newAuthority(t)
	cert, _ := a.issue(time.Now().Add(time.Hour))
	_, key := a.issue(time.Now().Add(time.Hour))
	for name, test := range map[string]struct {
		cert, key []byte
		want      string
	}{
		"two pairs": {cert, key, "private key does not match public key"},
		"swapped":   {key, cert, "failed to find"},
		"empty":     {nil, nil, "failed to find"},
		"large":     {make([]byte, 1<<20+1), key, "a file of over 1048576 bytes"},
	} {
		a.write(a.certFile, test.cert)
		a.write(a.keyFile, test.key)
		if _, err := serve.LoadCertificate(a.certFile, a.keyFile); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if _, err := serve.LoadCertificate("absent.crt", "absent.key"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "absent.key") {
		t.Errorf("absent files: %v, want both names", err)
	}
}

// TestCertificate_reloadUnderLoad: no request fails while the certificate is replaced a
// thousand times, on old connections or on new ones.
func TestCertificate_reloadUnderLoad(t *testing.T) {
	a := newAuthority(t)
	replace := func() {
		cert, key := a.issue(a.cert.NotAfter)
		a.write(a.certFile, cert)
		a.write(a.keyFile, key)
	}
	replace()
	c := a.load()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := serve.NewServer(okHandler)
	server.TLSConfig = c.TLSConfig()
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	reloads := make(chan error, 1)
	all.Go(func() {
		if err := serve.Run(ctx, server, l, 0); err != nil {
			t.Error(err)
		}
	})
	loading, stopLoad := context.WithCancel(ctx)
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	var answered, connections atomic.Int64
	var load sync.WaitGroup
	load.Go(func() {
		// A pair that does not fit is seen between the two files, and the next one is right.
		_ = c.Watch(loading, time.Millisecond/4, func(err error) {
			if err == nil {
				reloads <- nil
			}
		})
	})
	for i := range 3 {
		transport := &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots},
			ForceAttemptHTTP2: i == 0,
			DisableKeepAlives: i == 2, // a handshake for each request
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				connections.Add(1)
				return (&net.Dialer{}).DialContext(ctx, network, addr)
			},
		}
		load.Go(func() {
			defer transport.CloseIdleConnections()
			for loading.Err() == nil {
				answer, err := (&http.Client{Transport: transport}).Get("https://" + l.Addr().String())
				if err != nil {
					t.Errorf("a request failed: %v", err)
					return
				}
				body, err := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				if err != nil || string(body) != "ok" {
					t.Errorf("%q, %v", body, err)
				}
				answered.Add(1)
				time.Sleep(time.Millisecond) // or the reloads would wait for the processor
			}
		})
	}
	n := 1000
	if testing.Short() {
		n = 50
	}
	for range n {
		replace()
		<-reloads
	}
	stopLoad()
	load.Wait()
	stop()
	all.Wait()
	t.Logf("%d requests on %d connections", answered.Load(), connections.Load())
	if answered.Load() == 0 {
		t.Error("no request was answered")
	}
}
