// Load: a closed-loop S3 load generator. Each connection sends a request, waits for the whole answer, and sends the
// next, until the time is over or the count is reached. The result is one JSON line.
//
// It does as little as it can, because it shares the processors with the server it measures: requests are written to
// the socket as bytes, and a body, its digest and its checksum are made once.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// timeout bounds one request.
const timeout = 2 * time.Minute

// result is what a run prints. Latencies are those of requests that succeeded.
type result struct {
	Ops      int            `json:"ops"`
	Errors   map[string]int `json:"errors"`
	Seconds  float64        `json:"seconds"`
	P50ms    float64        `json:"p50_ms"`
	P99ms    float64        `json:"p99_ms"`
	CPUusOp  float64        `json:"client_cpu_us_op"`
	BytesOut int64          `json:"bytes"`
	Received int64          `json:"received"`
}

// worker is one connection's share of a run.
type worker struct {
	conn      net.Conn
	reader    *bufio.Reader
	latencies []time.Duration
	errors    map[string]int
	bytes     int64
	received  int64
}

// counted counts what is read from a connection.
type counted struct {
	net.Conn
	count *int64
}

func (c counted) Read(data []byte) (int, error) {
	count, err := c.Conn.Read(data)
	*c.count += int64(count)
	return count, err
}

func main() {
	var (
		address = flag.String("address", "127.0.0.1:9000", "host:port, plain HTTP")
		op      = flag.String("op", "put", "put or get")
		bucket  = flag.String("bucket", "bench", "bucket, which exists")
		prefix  = flag.String("prefix", "", "what keys begin with; a number follows")
		size    = flag.Int("size", 1024, "bytes of an object")
		keys    = flag.Int64("keys", 0, "get: number of keys, which are read in turn")
		conns   = flag.Int("conns", 1, "connections")
		seconds = flag.Float64("seconds", 0, "how long; 0: until the count is reached")
		count   = flag.Int64("count", 0, "how many requests; 0: until the time is over")
		days    = flag.Int("lock-days", 1, "put: COMPLIANCE for so many days; 0: no lock")
	)
	flag.Parse()
	if (*op == "get" && *keys < 1) || (*seconds <= 0 && *count <= 0) || *conns < 1 {
		fail(errors.New("give -seconds or -count, and -keys for get"))
	}
	requests := newRequests(*address, *op, *bucket, *prefix, *size, *keys, *days)
	workers := make([]*worker, *conns)
	for i := range workers {
		workers[i] = &worker{errors: map[string]int{}}
		if err := workers[i].dial(*address); err != nil {
			fail(err)
		}
	}
	var next atomic.Int64
	var running sync.WaitGroup
	before, started := cpu(), time.Now()
	end := started.Add(time.Duration(*seconds * float64(time.Second)))
	for _, w := range workers {
		running.Add(1)
		go func() {
			defer running.Done()
			for {
				number := next.Add(1) - 1
				if (*count > 0 && number >= *count) || (*seconds > 0 && time.Now().After(end)) {
					return
				}
				if err := w.do(requests, number); err != nil {
					w.errors[err.Error()]++
					if err := w.dial(*address); err != nil {
						fail(err)
					}
				}
			}
		}()
	}
	running.Wait()
	took := time.Since(started)
	total := merge(workers)
	total.Seconds = took.Seconds()
	total.CPUusOp = float64((cpu() - before).Microseconds()) / float64(max(total.Ops, 1))
	if err := json.NewEncoder(os.Stdout).Encode(total); err != nil {
		fail(err)
	}
}

// dial replaces the connection.
func (w *worker) dial(address string) error {
	if w.conn != nil {
		_ = w.conn.Close()
	}
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	w.conn, w.reader = conn, bufio.NewReaderSize(counted{conn, &w.received}, 64<<10)
	return err
}

// do makes one request; after an error the connection cannot be used any more.
func (w *worker) do(requests *requests, number int64) error {
	head, body := requests.make(number)
	if err := w.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	started := time.Now()
	pieces := net.Buffers{head, body}
	if _, err := pieces.WriteTo(w.conn); err != nil {
		return errors.New("cannot send")
	}
	answer, err := http.ReadResponse(w.reader, nil)
	if err != nil {
		return errors.New("no answer")
	}
	length, err := io.Copy(io.Discard, answer.Body)
	if err != nil || answer.Body.Close() != nil {
		return errors.New("answer cut short")
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	w.latencies = append(w.latencies, time.Since(started))
	w.bytes += max(length, int64(len(body)))
	if answer.Close {
		return errors.New("connection closed by the server")
	}
	return nil
}

func merge(workers []*worker) result {
	total := result{Errors: map[string]int{}}
	var latencies []time.Duration
	for _, w := range workers {
		latencies = append(latencies, w.latencies...)
		total.BytesOut += w.bytes
		total.Received += w.received
		for what, times := range w.errors {
			total.Errors[what] += times
		}
	}
	slices.Sort(latencies)
	total.Ops = len(latencies)
	total.P50ms, total.P99ms = quantile(latencies, 0.5), quantile(latencies, 0.99)
	return total
}

// quantile is in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(q*float64(len(sorted)-1))].Microseconds()) / 1000
}

// cpu is the processor time that this process has taken.
func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		fail(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "load:", err)
	os.Exit(2)
}
