import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.ResponseBytes;
import software.amazon.awssdk.core.checksums.RequestChecksumCalculation;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.ChecksumAlgorithm;
import software.amazon.awssdk.services.s3.model.ChecksumMode;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.awssdk.services.s3.model.ObjectLockLegalHoldStatus;
import software.amazon.awssdk.services.s3.model.ObjectLockMode;
import software.amazon.awssdk.services.s3.model.PutObjectRequest;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;
import software.amazon.awssdk.utils.Md5Utils;

/**
 * Stores and reads as programs written in Java do, with AWS's SDK.
 *
 * <p>The vault and a bucket of it are named by the environment; each test has the bucket to itself. The argument is the
 * name of the test; what is wrong ends the program.
 */
public final class Strangers {
  private static final String ENDPOINT = System.getenv("AWS_ENDPOINT_URL");
  private static final String BUCKET = System.getenv("BUCKET");
  private static final boolean SECURE = ENDPOINT.startsWith("https://");

  private static final byte[] SMALL = "a record of a trade\n".getBytes();
  private static final byte[] LARGE = noise(300_000);
  private static final Instant UNTIL = Instant.now().plus(3650, ChronoUnit.DAYS).truncatedTo(ChronoUnit.SECONDS);

  // Dots and slashes that must not be resolved, what is escaped in one place and not in another, the longest key.
  private static final List<String> ODD_KEYS =
      List.of("//x/../y", "a b/\u00fc+&=%25", "\u20ac" + "k".repeat(1021));

  private static final List<String> forms = new CopyOnWriteArrayList<>();

  public static void main(String[] arguments) throws Exception {
    switch (arguments[0]) {
      case "locked" -> locked();
      case "chunks" -> chunks();
      case "defaults" -> defaults();
      case "parts" -> parts();
      case "presigned" -> presigned();
      case "odd keys" -> oddKeys();
      default -> throw new AssertionError(arguments[0]);
    }
  }

  private static void locked() throws Exception {
    S3Client vault = client(RequestChecksumCalculation.WHEN_SUPPORTED);
    for (ChecksumAlgorithm algorithm :
        List.of(ChecksumAlgorithm.CRC32, ChecksumAlgorithm.CRC32_C, ChecksumAlgorithm.SHA1, ChecksumAlgorithm.SHA256)) {
      String key = "locked/" + algorithm;
      String version = vault.putObject(request -> lock(request.bucket(BUCKET).key(key))
              .checksumAlgorithm(algorithm)
              .objectLockLegalHoldStatus(ObjectLockLegalHoldStatus.ON)
              .metadata(Map.of("desk", "rates")),
          RequestBody.fromBytes(SMALL)).versionId();
      GetObjectResponse found = read(vault, key, SMALL);
      equal("version", found.versionId(), version);
      equal("mode", found.objectLockMode(), ObjectLockMode.COMPLIANCE);
      equal("until", found.objectLockRetainUntilDate(), UNTIL);
      equal("hold", found.objectLockLegalHoldStatus(), ObjectLockLegalHoldStatus.ON);
      equal("metadata", found.metadata(), Map.of("desk", "rates"));
      refused(vault, key, version);
    }
  }

  /** Each chunk is signed unless it is sent over TLS; a checksum follows the body unless none is wanted. */
  private static void chunks() throws Exception {
    for (boolean trailer : List.of(true, false)) {
      S3Client vault = client(
          trailer ? RequestChecksumCalculation.WHEN_SUPPORTED : RequestChecksumCalculation.WHEN_REQUIRED);
      for (byte[] body : List.of(new byte[0], SMALL, LARGE)) {
        String key = "chunks/" + trailer + body.length;
        InputStream stream = new ByteArrayInputStream(body);
        forms.clear();
        vault.putObject(request -> request.bucket(BUCKET).key(key), RequestBody.fromInputStream(stream, body.length));
        String form = SECURE ? (trailer ? "STREAMING-UNSIGNED-PAYLOAD-TRAILER" : "UNSIGNED-PAYLOAD")
            : "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + (trailer ? "-TRAILER" : "");
        equal("form of the body", forms, List.of(form));
        read(vault, key, body);
      }
    }
  }

  /** A client that nothing is set of, and a GET that asks for no checksum. */
  private static void defaults() throws Exception {
    TrustManager[] trusted = trusted();
    S3Client vault = S3Client.builder().endpointOverride(URI.create(ENDPOINT)).forcePathStyle(true)
        .region(region()).credentialsProvider(credentials())
        .httpClient(UrlConnectionHttpClient.builder().tlsTrustManagersProvider(() -> trusted).build())
        .build();
    for (byte[] body : List.of(new byte[0], SMALL, LARGE)) {
      String key = "defaults/" + body.length;
      vault.putObject(request -> request.bucket(BUCKET).key(key), RequestBody.fromBytes(body));
      same(key, vault.getObjectAsBytes(request -> request.bucket(BUCKET).key(key)).asByteArray(), body);
      try (var stream = vault.getObject(request -> request.bucket(BUCKET).key(key))) {
        same(key, stream.readAllBytes(), body);
      }
      equal("length", vault.headObject(request -> request.bucket(BUCKET).key(key)).contentLength(), (long) body.length);
    }
    same("range", vault.getObjectAsBytes(request -> request.bucket(BUCKET).key("defaults/" + LARGE.length)
        .range("bytes=100-199")).asByteArray(), Arrays.copyOfRange(LARGE, 100, 200));
  }

  private static void parts() throws Exception {
    S3Client vault = client(RequestChecksumCalculation.WHEN_SUPPORTED);
    String key = "parts";
    byte[] body = noise((11 << 20) + 7);
    String upload = vault.createMultipartUpload(request -> request.bucket(BUCKET).key(key)
        .checksumAlgorithm(ChecksumAlgorithm.SHA256)
        .objectLockMode(ObjectLockMode.COMPLIANCE).objectLockRetainUntilDate(UNTIL)).uploadId();
    List<CompletedPart> done = new ArrayList<>();
    for (int at = 0; at < body.length; at += 5 << 20) {
      int number = done.size() + 1;
      byte[] part = Arrays.copyOfRange(body, at, Math.min(at + (5 << 20), body.length));
      var made = vault.uploadPart(request -> request.bucket(BUCKET).key(key).uploadId(upload).partNumber(number)
          .checksumAlgorithm(ChecksumAlgorithm.SHA256), RequestBody.fromBytes(part));
      done.add(CompletedPart.builder().partNumber(number).eTag(made.eTag()).checksumSHA256(made.checksumSHA256()).build());
    }
    String version = vault.completeMultipartUpload(request -> request.bucket(BUCKET).key(key).uploadId(upload)
        .mpuObjectSize((long) body.length).multipartUpload(parts -> parts.parts(done))).versionId();
    equal("mode", read(vault, key, body).objectLockMode(), ObjectLockMode.COMPLIANCE);
    refused(vault, key, version);
  }

  /** Whoever is given a URL needs no keys: a lock that is signed into it is what is stored. */
  private static void presigned() throws Exception {
    String key = ODD_KEYS.get(1);
    S3Client vault = client(RequestChecksumCalculation.WHEN_SUPPORTED);
    try (S3Presigner presigner = S3Presigner.builder().endpointOverride(URI.create(ENDPOINT)).region(region())
        .credentialsProvider(credentials())
        .serviceConfiguration(S3Configuration.builder().pathStyleAccessEnabled(true).build()).build()) {
      var put = presigner.presignPutObject(request -> request.signatureDuration(Duration.ofMinutes(5))
          .putObjectRequest(lock(PutObjectRequest.builder().bucket(BUCKET).key(key))
              .contentMD5(Md5Utils.md5AsBase64(SMALL)).build()));
      HttpURLConnection wrong = open(put.url(), "PUT", put.signedHeaders());
      wrong.getOutputStream().write(LARGE);
      equal("answer to another body", wrong.getResponseCode(), 400);
      HttpURLConnection right = open(put.url(), "PUT", put.signedHeaders());
      right.getOutputStream().write(SMALL);
      equal("answer to PUT", right.getResponseCode(), 200);
      var get = presigner.presignGetObject(request -> request.signatureDuration(Duration.ofMinutes(5))
          .getObjectRequest(wanted -> wanted.bucket(BUCKET).key(key)));
      HttpURLConnection read = open(get.url(), "GET", get.signedHeaders());
      same("presigned", read.getInputStream().readAllBytes(), SMALL);
      equal("mode", read.getHeaderField("x-amz-object-lock-mode"), "COMPLIANCE");
      refused(vault, key, read.getHeaderField("x-amz-version-id"));
    }
  }

  private static void oddKeys() throws Exception {
    S3Client vault = client(RequestChecksumCalculation.WHEN_SUPPORTED);
    for (String key : ODD_KEYS) {
      vault.putObject(request -> request.bucket(BUCKET).key(key), RequestBody.fromBytes(SMALL));
      read(vault, key, SMALL);
    }
    Set<String> listed = new HashSet<>();
    vault.listObjectsV2Paginator(request -> request.bucket(BUCKET).maxKeys(1)).contents()
        .forEach(found -> listed.add(found.key()));
    equal("keys listed", listed, Set.copyOf(ODD_KEYS));
  }

  private static PutObjectRequest.Builder lock(PutObjectRequest.Builder request) {
    return request.objectLockMode(ObjectLockMode.COMPLIANCE).objectLockRetainUntilDate(UNTIL);
  }

  private static GetObjectResponse read(S3Client vault, String key, byte[] body) {
    ResponseBytes<GetObjectResponse> found = vault.getObjectAsBytes(
        request -> request.bucket(BUCKET).key(key).checksumMode(ChecksumMode.ENABLED));
    same(key, found.asByteArray(), body);
    return found.response();
  }

  private static void refused(S3Client vault, String key, String version) {
    try {
      vault.deleteObject(request -> request.bucket(BUCKET).key(key).versionId(version));
    } catch (S3Exception told) {
      equal("status", told.statusCode(), 403);
      equal("code", told.awsErrorDetails().errorCode(), "AccessDenied");
      equal("message", told.awsErrorDetails().errorMessage(), "Access Denied because object protected by object lock.");
      return;
    }
    throw new AssertionError("a locked version was deleted");
  }

  private static S3Client client(RequestChecksumCalculation checksums) throws Exception {
    TrustManager[] trusted = trusted();
    return S3Client.builder()
        .endpointOverride(URI.create(ENDPOINT))
        .region(region())
        .credentialsProvider(credentials())
        .forcePathStyle(true)
        .requestChecksumCalculation(checksums)
        .httpClient(UrlConnectionHttpClient.builder().tlsTrustManagersProvider(() -> trusted).build())
        .overrideConfiguration(o -> o.retryStrategy(r -> r.maxAttempts(1)).addExecutionInterceptor(new Watch()))
        .build();
  }

  /** Remembers how bodies were signed. */
  private static final class Watch implements ExecutionInterceptor {
    @Override
    public void beforeTransmission(Context.BeforeTransmission sent, ExecutionAttributes attributes) {
      sent.httpRequest().firstMatchingHeader("x-amz-content-sha256").ifPresent(forms::add);
    }
  }

  private static HttpURLConnection open(URL url, String method, Map<String, List<String>> headers) throws Exception {
    HttpURLConnection made = (HttpURLConnection) url.openConnection();
    if (made instanceof HttpsURLConnection secure) {
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(null, trusted(), null);
      secure.setSSLSocketFactory(context.getSocketFactory());
    }
    made.setRequestMethod(method);
    made.setDoOutput(method.equals("PUT"));
    headers.forEach((name, values) -> made.setRequestProperty(name, values.get(0)));
    return made;
  }

  private static TrustManager[] trusted() throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    if (SECURE) {
      try (InputStream pem = Files.newInputStream(Path.of(System.getenv("AWS_CA_BUNDLE")))) {
        store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(pem));
      }
    }
    TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(store);
    return factory.getTrustManagers();
  }

  private static Region region() {
    return Region.of(System.getenv("AWS_REGION"));
  }

  private static StaticCredentialsProvider credentials() {
    return StaticCredentialsProvider.create(
        AwsBasicCredentials.create(System.getenv("AWS_ACCESS_KEY_ID"), System.getenv("AWS_SECRET_ACCESS_KEY")));
  }

  private static byte[] noise(int size) {
    byte[] made = new byte[size];
    new Random(size).nextBytes(made);
    return made;
  }

  private static void equal(String what, Object got, Object wanted) {
    if (!got.equals(wanted)) {
      throw new AssertionError(what + " is " + got + ", not " + wanted);
    }
  }

  private static void same(String what, byte[] got, byte[] wanted) {
    if (!Arrays.equals(got, wanted)) {
      throw new AssertionError(what + ": " + got.length + " bytes came back other than " + wanted.length + " were stored");
    }
  }
}
