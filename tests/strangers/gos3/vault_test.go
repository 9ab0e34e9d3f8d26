// Package gos3 stores and reads as programs written in Go do: with AWS's SDK and with MinIO's.
//
// The vault and a bucket of it are named by the environment; each test has the bucket to itself.
package gos3

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"math/rand"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	endpoint = os.Getenv("AWS_ENDPOINT_URL")
	bucket   = os.Getenv("BUCKET")
	secure   = strings.HasPrefix(endpoint, "https://")

	small = []byte("a record of a trade\n")
	large = noise(300_000)
	parts = noise(11<<20 + 7)
	until = time.Now().UTC().AddDate(10, 0, 0).Truncate(time.Second)

	// Dots and slashes that must not be resolved, what is escaped in one place and not in another, the longest key.
	oddKeys = []string{"//x/../y", "a b/ü+&=%25", "€" + strings.Repeat("k", 1021)}
)

func noise(size int) []byte {
	made := make([]byte, size)
	rand.New(rand.NewSource(int64(size))).Read(made)
	return made
}

// wire sends requests and remembers how their bodies were signed.
type wire struct {
	http.RoundTripper
	mutex sync.Mutex
	seen  []string
}

func newWire(t *testing.T) *wire {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if secure {
		pem, err := os.ReadFile(os.Getenv("AWS_CA_BUNDLE"))
		must(t, err)
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &wire{RoundTripper: transport}
}

func (w *wire) RoundTrip(request *http.Request) (*http.Response, error) {
	w.mutex.Lock()
	w.seen = append(w.seen, request.Header.Get("X-Amz-Content-Sha256"))
	w.mutex.Unlock()
	return w.RoundTripper.RoundTrip(request)
}

// sent fails the test unless some body was signed in this form.
func (w *wire) sent(t *testing.T, form string) {
	t.Helper()
	for _, seen := range w.seen {
		if seen == form {
			return
		}
	}
	t.Errorf("no body was sent as %s: %v", form, w.seen)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, not %v", what, got, want)
	}
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes came back other than %d were stored", what, len(got), len(want))
	}
}
