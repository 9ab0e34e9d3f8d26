package gos3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	managertypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

func sdk(t *testing.T) (*s3.Client, *wire) {
	t.Helper()
	through := newWire(t)
	credentials := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		key, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
		return aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, nil
	})
	client := s3.New(s3.Options{
		BaseEndpoint:               &endpoint,
		Region:                     os.Getenv("AWS_REGION"),
		Credentials:                credentials,
		UsePathStyle:               true,
		HTTPClient:                 &http.Client{Transport: through},
		RetryMaxAttempts:           1,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	})
	return client, through
}

func get(t *testing.T, client *s3.Client, key string) (*s3.GetObjectOutput, []byte) {
	t.Helper()
	found, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key, ChecksumMode: "ENABLED"})
	must(t, err)
	body, err := io.ReadAll(found.Body) // which also compares the checksum
	must(t, err)
	must(t, found.Body.Close())
	return found, body
}

func refused(t *testing.T, client *s3.Client, key string, version *string) {
	t.Helper()
	_, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, VersionId: version})
	var told smithy.APIError
	if !errors.As(err, &told) {
		t.Fatalf("the delete of a locked version was answered %v", err)
	}
	equal(t, "code", told.ErrorCode(), "AccessDenied")
	equal(t, "message", told.ErrorMessage(), "Access Denied because object protected by object lock.")
}

func TestAWSLockedObject(t *testing.T) {
	client, _ := sdk(t)
	for _, algorithm := range []types.ChecksumAlgorithm{"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512"} {
		key := "locked/" + string(algorithm)
		made, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &bucket, Key: &key, Body: bytes.NewReader(small), ChecksumAlgorithm: algorithm,
			Metadata:       map[string]string{"desk": "rates"},
			ObjectLockMode: types.ObjectLockModeCompliance, ObjectLockRetainUntilDate: &until,
			ObjectLockLegalHoldStatus: types.ObjectLockLegalHoldStatusOn,
		})
		must(t, err)
		found, body := get(t, client, key)
		same(t, key, body, small)
		equal(t, "version", *found.VersionId, *made.VersionId)
		equal(t, "mode", found.ObjectLockMode, types.ObjectLockModeCompliance)
		equal(t, "until", found.ObjectLockRetainUntilDate.UTC(), until)
		equal(t, "hold", found.ObjectLockLegalHoldStatus, types.ObjectLockLegalHoldStatusOn)
		equal(t, "metadata", found.Metadata["desk"], "rates")
		refused(t, client, key, made.VersionId)
	}
}

// A body that cannot be read twice has its checksum behind it over TLS, and none without.
func TestAWSStream(t *testing.T) {
	client, through := sdk(t)
	form, options := "STREAMING-UNSIGNED-PAYLOAD-TRAILER", []func(*s3.Options){}
	if !secure {
		form = "UNSIGNED-PAYLOAD"
		options = append(options, s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware),
			func(o *s3.Options) { o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired })
	}
	key := "stream"
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: io.MultiReader(bytes.NewReader(large)), ContentLength: aws.Int64(int64(len(large))),
	}, options...)
	must(t, err)
	through.sent(t, form)
	_, body := get(t, client, key)
	same(t, key, body, large)
}

func TestAWSTransferManager(t *testing.T) {
	client, _ := sdk(t)
	manager := transfermanager.New(client, func(o *transfermanager.Options) {
		o.PartSizeBytes, o.MultipartUploadThreshold = 5<<20, 5<<20
	})
	key := "parts"
	made, err := manager.UploadObject(t.Context(), &transfermanager.UploadObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(parts),
		ObjectLockMode: managertypes.ObjectLockModeCompliance, ObjectLockRetainUntilDate: &until,
	})
	must(t, err)
	for _, by := range []managertypes.GetObjectType{managertypes.GetObjectParts, managertypes.GetObjectRanges} {
		back := &memory{}
		_, err = manager.DownloadObject(t.Context(), &transfermanager.DownloadObjectInput{
			Bucket: &bucket, Key: &key, WriterAt: back,
		}, func(o *transfermanager.Options) { o.GetObjectType = by })
		must(t, err)
		same(t, string(by), back.bytes, parts)
	}
	head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	must(t, err)
	equal(t, "mode", head.ObjectLockMode, types.ObjectLockModeCompliance)
	equal(t, "until", head.ObjectLockRetainUntilDate.UTC(), until)
	refused(t, client, key, made.VersionID)
}

// Whoever is given a URL needs no keys: a lock that is signed into it is what is stored.
func TestAWSPresigned(t *testing.T) {
	client, through := sdk(t)
	presigner := s3.NewPresignClient(client)
	key, digest := oddKeys[1], sha256.Sum256(small)
	put, err := presigner.PresignPutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key,
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(digest[:])),
		ObjectLockMode: types.ObjectLockModeCompliance, ObjectLockRetainUntilDate: &until,
	})
	must(t, err)
	equal(t, "answer to a body with another checksum", follow(t, through, put, []byte("another")).status, 400)
	equal(t, "answer to PUT", follow(t, through, put, small).status, 200)
	read, err := presigner.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	must(t, err)
	answer := follow(t, through, read, nil)
	same(t, "presigned", answer.body, small)
	equal(t, "mode", answer.header.Get("X-Amz-Object-Lock-Mode"), "COMPLIANCE")
	refused(t, client, key, aws.String(answer.header.Get("X-Amz-Version-Id")))
}

func TestAWSOddKeys(t *testing.T) {
	client, _ := sdk(t)
	stored := map[string]bool{}
	for _, key := range oddKeys {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(small)})
		must(t, err)
		_, body := get(t, client, key)
		same(t, key, body, small)
		stored[key] = true
	}
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket, MaxKeys: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		for _, found := range page.Contents {
			if !stored[*found.Key] {
				t.Errorf("%q was listed, and never stored or listed before", *found.Key)
			}
			delete(stored, *found.Key)
		}
	}
	equal(t, "keys not listed", len(stored), 0)
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func follow(t *testing.T, through *wire, signed *v4.PresignedHTTPRequest, body []byte) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), signed.Method, signed.URL, bytes.NewReader(body))
	must(t, err)
	for name, values := range signed.SignedHeader {
		if name != "Host" && name != "Content-Length" {
			request.Header[name] = values
		}
	}
	found, err := through.RoundTrip(request)
	must(t, err)
	told, err := io.ReadAll(found.Body)
	must(t, err)
	must(t, found.Body.Close())
	return answer{found.StatusCode, found.Header, told}
}

// memory is a file in memory; its parts are written one after another, or several at once.
type memory struct {
	sync.Mutex
	bytes []byte
}

func (m *memory) WriteAt(part []byte, at int64) (int, error) {
	m.Lock()
	defer m.Unlock()
	if missing := int(at) + len(part) - len(m.bytes); missing > 0 {
		m.bytes = append(m.bytes, make([]byte, missing)...)
	}
	return copy(m.bytes[at:], part), nil
}
