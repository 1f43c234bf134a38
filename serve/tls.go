package serve

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// A Certificate is a server's TLS certificate and key, read from PEM files, which may
// be replaced while it serves. It is safe for concurrent use.
type Certificate struct {
	certFile, keyFile string
	now               atomic.Pointer[loadedCertificate]
}

type loadedCertificate struct {
	pair tls.Certificate
	sum  [sha256.Size]byte // of both files
}

// maxCertificate bounds each file.
const maxCertificate = 1 << 20

// LoadCertificate reads a certificate, with those between it and the root, and its
// key. It is an error if they do not fit together.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	text, err := c.read()
	if err != nil {
		return nil, err
	}
	loaded, err := c.parse(text)
	if err != nil {
		return nil, err
	}
	c.now.Store(loaded)
	return c, nil
}

// TLSConfig returns a configuration of TLS 1.2 and later, HTTP/2 and HTTP/1.1, for the
// TLSConfig of a server that [Run] serves. New connections use the newest certificate;
// others go on.
func (c *Certificate) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.now.Load().pair, nil },
	}
}

// NotAfter returns when the certificate expires.
func (c *Certificate) NotAfter() time.Time { return c.now.Load().pair.Leaf.NotAfter }

// Watch reads the files again whenever one has changed, until ctx is done, and returns
// ctx.Err(). It looks after each interval, and takes contents of both that it has
// found twice in a row. If those cannot be used, do not fit together, or have expired
// while the old certificate has not, that stays, and report is called once with the
// error; after a change, with nil.
func (c *Certificate) Watch(ctx context.Context, interval time.Duration, report func(error)) error {
	if interval <= 0 {
		return fmt.Errorf("serve: watching the certificate every %v: want a positive time", interval)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	used := c.now.Load().sum // of the last content that was used or refused
	var seen [sha256.Size]byte
	failing := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		text, err := c.read()
		if err != nil {
			if !failing {
				report(err)
			}
			seen, failing = [sha256.Size]byte{}, true
			continue
		}
		settled := text.sum == seen
		seen = text.sum
		if !settled || !failing && text.sum == used {
			continue
		}
		used, failing = text.sum, false
		loaded, err := c.parse(text)
		if now := time.Now(); err == nil && loaded.pair.Leaf.NotAfter.Before(now) && !c.NotAfter().Before(now) {
			err = fmt.Errorf("serve: certificate %s expired at %s: want a newer one", c.certFile, loaded.pair.Leaf.NotAfter.Format(time.RFC3339))
		}
		if err == nil {
			c.now.Store(loaded)
		}
		report(err)
	}
}

// A certificateText is the content of both files.
type certificateText struct {
	cert, key []byte
	sum       [sha256.Size]byte
}

// read reads both files, and joins the errors.
func (c *Certificate) read() (certificateText, error) {
	cert, certErr := readPEM(c.certFile)
	key, keyErr := readPEM(c.keyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return certificateText{}, err
	}
	// The hash of the first keeps contents apart that move from one file to the other.
	first := sha256.Sum256(cert)
	return certificateText{cert, key, sha256.Sum256(append(first[:], key...))}, nil
}

func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCertificate+1))
	if err == nil && len(text) > maxCertificate {
		err = fmt.Errorf("serve: %s: a file of over %d bytes: want a certificate or key in PEM form", path, maxCertificate)
	}
	return text, err
}

func (c *Certificate) parse(text certificateText) (*loadedCertificate, error) {
	pair, err := tls.X509KeyPair(text.cert, text.key)
	if err != nil {
		return nil, fmt.Errorf("serve: certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	if pair.Leaf == nil { // so if GODEBUG has x509keypairleaf=0
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("serve: certificate %s: %w", c.certFile, err)
		}
	}
	return &loadedCertificate{pair, text.sum}, nil
}
