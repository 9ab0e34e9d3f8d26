package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"time"
)

const (
	region = "us-east-1"
	// stamp is SigV4's form of an instant; its first eight characters are the day.
	stamp = "20060102T150405Z"
)

// field is a header; SigV4 wants them sorted by name.
type field struct{ name, value string }

// requests makes the requests of a run; safe for use by several connections.
type requests struct {
	method, host, path string
	keys               int64
	body               []byte
	digest             string
	access             string
	fields             []field // all that is signed beside the date, sorted, with x-amz-date last but for its place
	day                string
	key                []byte
}

// newRequests reads the credentials from the environment, under the names that every S3 client knows.
func newRequests(host, op, bucket, prefix string, size int, keys int64, lockDays int) *requests {
	made := &requests{method: "GET", host: host, path: "/" + bucket + "/" + prefix, keys: keys}
	made.access = os.Getenv("AWS_ACCESS_KEY_ID")
	if op == "put" {
		made.method = "PUT"
		made.body = make([]byte, size)
		if _, err := rand.Read(made.body); err != nil {
			fail(err)
		}
	}
	digest := sha256.Sum256(made.body)
	made.digest = hex.EncodeToString(digest[:])
	made.fields = []field{{"host", host}}
	if op == "put" {
		var sum [4]byte
		binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE(made.body))
		made.fields = append(made.fields, field{"x-amz-checksum-crc32", base64.StdEncoding.EncodeToString(sum[:])})
	}
	made.fields = append(made.fields, field{"x-amz-content-sha256", made.digest}, field{"x-amz-date", ""})
	if op == "put" && lockDays > 0 {
		until := time.Now().UTC().AddDate(0, 0, lockDays).Format("2006-01-02T15:04:05Z")
		made.fields = append(made.fields,
			field{"x-amz-object-lock-mode", "COMPLIANCE"}, field{"x-amz-object-lock-retain-until-date", until})
	}
	made.day = time.Now().UTC().Format(stamp)[:8]
	made.key = mac([]byte("AWS4"+os.Getenv("AWS_SECRET_ACCESS_KEY")), made.day)
	for _, part := range []string{region, "s3", "aws4_request"} {
		made.key = mac(made.key, part)
	}
	return made
}

// make signs the request of that number and returns its head and body. Keys need no escaping.
func (r *requests) make(number int64) (head, body []byte) {
	if r.keys > 0 {
		number %= r.keys
	}
	path := fmt.Sprintf("%s%09d", r.path, number)
	now := time.Now().UTC().Format(stamp)
	if now[:8] != r.day {
		now = r.day + "T235959Z" // past midnight the key of the day before is still the one of its last second
	}
	var canonical, signed, lines strings.Builder
	for i, header := range r.fields {
		if header.name == "x-amz-date" {
			header.value = now
		}
		canonical.WriteString(header.name + ":" + header.value + "\n")
		lines.WriteString(header.name + ": " + header.value + "\r\n")
		if i > 0 {
			signed.WriteByte(';')
		}
		signed.WriteString(header.name)
	}
	hashed := sha256.Sum256([]byte(r.method + "\n" + path + "\n\n" + canonical.String() + "\n" + signed.String() + "\n" + r.digest))
	scope := r.day + "/" + region + "/s3/aws4_request"
	signature := mac(r.key, "AWS4-HMAC-SHA256\n"+now+"\n"+scope+"\n"+hex.EncodeToString(hashed[:]))
	request := fmt.Sprintf(
		"%s %s HTTP/1.1\r\n%sAuthorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x\r\n"+
			"Content-Length: %d\r\n\r\n",
		r.method, path, lines.String(), r.access, scope, signed.String(), signature, len(r.body))
	return []byte(request), r.body
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
