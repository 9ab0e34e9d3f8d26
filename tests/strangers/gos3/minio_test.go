package gos3

import (
	"bytes"
	"io"
	"net/url"
	"os"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// client signs each chunk of a body unless it is sent over TLS; with trailers, checksums follow the body.
func client(t *testing.T, trailers bool) (*minio.Client, *wire) {
	t.Helper()
	at, err := url.Parse(endpoint)
	must(t, err)
	through := newWire(t)
	made, err := minio.New(at.Host, &minio.Options{
		Creds:           credentials.NewStaticV4(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
		Secure:          secure,
		Region:          os.Getenv("AWS_REGION"),
		Transport:       through,
		BucketLookup:    minio.BucketLookupPath,
		TrailingHeaders: trailers,
		MaxRetries:      1,
	})
	must(t, err)
	return made, through
}

func read(t *testing.T, vault *minio.Client, key string) []byte {
	t.Helper()
	found, err := vault.GetObject(t.Context(), bucket, key, minio.GetObjectOptions{})
	must(t, err)
	body, err := io.ReadAll(found)
	must(t, err)
	must(t, found.Close())
	return body
}

func store(t *testing.T, vault *minio.Client, key string, body []byte, options minio.PutObjectOptions) {
	t.Helper()
	made, err := vault.PutObject(t.Context(), bucket, key, bytes.NewReader(body), int64(len(body)), options)
	must(t, err)
	same(t, key, read(t, vault, key), body)
	if options.Mode == "" {
		return
	}
	head, err := vault.StatObject(t.Context(), bucket, key, minio.StatObjectOptions{})
	must(t, err)
	equal(t, "mode", head.Metadata.Get("X-Amz-Object-Lock-Mode"), "COMPLIANCE")
	err = vault.RemoveObject(t.Context(), bucket, key, minio.RemoveObjectOptions{VersionID: made.VersionID})
	equal(t, "code", minio.ToErrorResponse(err).Code, "AccessDenied")
}

func TestMinIOSignedChunks(t *testing.T) {
	vault, through := client(t, false)
	for key, body := range map[string][]byte{"empty": {}, "small": small, "large": large, "parts": parts} {
		store(t, vault, key, body, minio.PutObjectOptions{
			Mode: minio.Compliance, RetainUntilDate: until, PartSize: 5 << 20, SendContentMd5: true,
		})
	}
	if !secure {
		through.sent(t, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
	}
}

func TestMinIOTrailers(t *testing.T) {
	vault, through := client(t, true)
	for _, checksum := range []minio.ChecksumType{
		minio.ChecksumSHA256, minio.ChecksumSHA1, minio.ChecksumCRC32, minio.ChecksumCRC32C, minio.ChecksumCRC64NVME,
	} {
		for key, body := range map[string][]byte{"empty": {}, "small": small, "large": large, "parts": parts} {
			options := minio.PutObjectOptions{PartSize: 5 << 20, Checksum: checksum}
			if key != "empty" { // whose checksum this SDK leaves out, and a lock needs one
				options.Mode, options.RetainUntilDate = minio.Compliance, until
			}
			store(t, vault, checksum.String()+"/"+key, body, options)
		}
	}
	if secure {
		through.sent(t, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
	} else {
		through.sent(t, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
	}
}

func TestMinIOOddKeys(t *testing.T) {
	vault, _ := client(t, false)
	stored := map[string]bool{}
	for _, key := range oddKeys {
		store(t, vault, key, small, minio.PutObjectOptions{})
		stored[key] = true
	}
	for found := range vault.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		must(t, found.Err)
		delete(stored, found.Key)
	}
	equal(t, "keys not listed", len(stored), 0)
}
