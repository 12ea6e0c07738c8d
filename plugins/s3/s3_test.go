package s3_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/probetest"
	"github.com/holdfast-monitor/holdfast/plugins/s3"
	"github.com/holdfast-monitor/holdfast/plugins/s3/s3test"
)

type m = map[string]any

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gateway is the one server of this test binary; TestMain ends it.
var gateway *s3test.Server

var startGateway = sync.OnceValue(func() (err error) {
	gateway, err = s3test.Start()
	return err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if gateway != nil {
		_ = gateway.Stop()
	}
	os.Exit(code)
}

// store is a bucket of a test's own.
type store struct {
	client      *sdk.Client
	bucket      string
	credentials string
}

// newStore makes a bucket, with object lock and versions where asked for.
func newStore(t testing.TB, locked bool) *store {
	t.Helper()
	must(t, startGateway())
	s := &store{
		bucket:      strings.NewReplacer("/", "-", "_", "-").Replace(strings.ToLower(t.Name())),
		credentials: filepath.Join(t.TempDir(), "credentials"),
		client: sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: &gateway.URL, UsePathStyle: true,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: gateway.Access, SecretAccessKey: gateway.Secret}, nil
			})}),
	}
	must(t, os.WriteFile(s.credentials, keys(gateway.Secret), 0o600))
	_, err := s.client.CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: &s.bucket, ObjectLockEnabledForBucket: &locked})
	must(t, err)
	return s
}

func keys(secret string) []byte {
	return fmt.Appendf(nil, "# of the backup\n[default]\naws_access_key_id = %s\naws_secret_access_key=%s\n[other]\naws_secret_access_key=x\n", gateway.Access, secret)
}

// put uploads an object and dates it some hours back, as the store keeps its time.
func (s *store) put(t testing.TB, key string, size, hours int, retention types.ObjectLockMode, until time.Time) {
	t.Helper()
	in := &sdk.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: strings.NewReader(strings.Repeat("x", size))}
	if retention != "" {
		in.ObjectLockMode, in.ObjectLockRetainUntilDate = retention, &until
	}
	_, err := s.client.PutObject(t.Context(), in)
	must(t, err)
	path := filepath.Join(gateway.Folder, s.bucket, key)
	must(t, os.Chtimes(path, uploaded(hours), uploaded(hours)))
}

var began = time.Now().Truncate(time.Second)

func uploaded(hours int) time.Time {
	return began.Add(-time.Duration(hours) * time.Hour).UTC()
}

func (s *store) request(t testing.TB, more m) probe.Request {
	t.Helper()
	settings := m{"endpoint": gateway.URL, "bucket": s.bucket, "credentials_file": s.credentials, "path_style": true}
	for k, v := range more {
		settings[k] = v
	}
	b, err := json.Marshal(settings)
	must(t, err)
	return probe.Request{Check: "s/d/c", Settings: holdfast.Settings(b)}
}

func (s *store) observe(t testing.TB, more m) (probe.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	o, err := s3.Probes()[0].Observe(ctx, s.request(t, more))
	if err == nil {
		if err := o.Validate(); err != nil {
			t.Error(err)
		}
	}
	return o, err
}

// expect tests what came out, and that the words are in what is said.
func expect(t testing.TB, o probe.Observation, err error, outcome holdfast.Outcome, reason holdfast.Reason, words string) {
	t.Helper()
	if err != nil {
		o.Outcome, o.Reason, o.Summary = holdfast.OutcomeUnknown, probe.ReasonOf(err), err.Error()
	}
	if o.Outcome != outcome || o.Reason != reason || !strings.Contains(o.Summary, words) {
		t.Errorf("got %s %q: %s\nwant %s %q: %s", o.Outcome, o.Reason, o.Summary, outcome, reason, words)
	}
}

func TestGood(t *testing.T) {
	s := newStore(t, false)
	for i := range 6 {
		s.put(t, fmt.Sprintf("ledger/%d.dump", 9-i), 100+i, 50+i, "", time.Time{})
	}
	s.put(t, "ledger/hollow.dump", 0, 0, "", time.Time{})
	s.put(t, "other/1.dump", 5, 1, "", time.Time{})
	s.put(t, "ledger/1.dump.sha256", 64, 1, "", time.Time{})
	o, err := s.observe(t, m{"prefix": "ledger/", "pattern": "*.dump"})
	expect(t, o, err, holdfast.OK, "", "6 objects, 615B, the newest ledger/9.dump")
	if n := len(o.RecoveryPoints); n != 5 || !o.RecoveryPoints[0].Time.Equal(uploaded(50)) || !o.RecoveryPoints[4].Time.Equal(uploaded(55)) || o.RecoveryPoints[4].Bytes != 105 {
		t.Errorf("got %+v, want the newest four and the oldest", o.RecoveryPoints)
	}
	if o.Immutable == nil || *o.Immutable || o.Facts["retention"] != "none" || o.Facts["object_lock"] != "off" || o.Facts["without_a_byte"] != "1 objects" {
		t.Errorf("got immutable %v and %v, want it seen that nothing is locked", o.Immutable, o.Facts)
	}
	if o.Verification != nil || o.Encrypted != nil {
		t.Errorf("got %v and encrypted %v, want neither claimed", o.Verification, o.Encrypted)
	}
}

func TestOutcomes(t *testing.T) {
	s := newStore(t, false)
	o, err := s.observe(t, nil)
	expect(t, o, err, holdfast.Failed, holdfast.Empty, "bucket testoutcomes holds no object")
	s.put(t, "a/1.dump", 0, 1, "", time.Time{})
	o, err = s.observe(t, nil)
	expect(t, o, err, holdfast.Failed, holdfast.Empty, "have no byte")
	s.put(t, "a/2.dump", 1, 1, "", time.Time{})
	o, err = s.observe(t, m{"prefix": "b/"})
	expect(t, o, err, holdfast.Failed, holdfast.Empty, "under b/ holds no object")
	o, err = s.observe(t, m{"pattern": "*.gz"})
	expect(t, o, err, holdfast.Failed, holdfast.NoMatch, "none of 2 objects matches *.gz")
	o, err = s.observe(t, m{"bucket": "no-such-bucket"})
	expect(t, o, err, holdfast.Failed, holdfast.Missing, "there is no bucket no-such-bucket")
}

// TestImmutable: what is seen counts, not what the bucket promises.
func TestImmutable(t *testing.T) {
	s := newStore(t, true)
	soon := time.Now().Add(2 * time.Second)
	later := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	_, err := s.client.PutObjectLockConfiguration(t.Context(), &sdk.PutObjectLockConfigurationInput{Bucket: &s.bucket, ObjectLockConfiguration: &types.ObjectLockConfiguration{
		ObjectLockEnabled: types.ObjectLockEnabledEnabled}})
	must(t, err)
	s.put(t, "none/1", 1, 1, "", time.Time{})
	s.put(t, "governed/1", 1, 1, types.ObjectLockModeGovernance, later)
	s.put(t, "locked/1", 1, 1, types.ObjectLockModeCompliance, later)
	s.put(t, "over/1", 1, 1, types.ObjectLockModeCompliance, soon)
	s.put(t, "newest-is-not/1", 1, 2, types.ObjectLockModeCompliance, later)
	s.put(t, "newest-is-not/2", 1, 1, "", time.Time{})
	timer := time.NewTimer(time.Until(soon) + 100*time.Millisecond)
	<-timer.C
	for _, c := range []struct {
		prefix    string
		immutable bool
		retention string
	}{
		{"locked/", true, "COMPLIANCE until " + later.UTC().Format(time.RFC3339)},
		{"governed/", false, "GOVERNANCE until " + later.UTC().Format(time.RFC3339) + ", which whoever has the right can lift"},
		{"none/", false, "none"},
		{"over/", false, "COMPLIANCE, over since"},
		{"newest-is-not/", false, "none"},
	} {
		o, err := s.observe(t, m{"prefix": c.prefix})
		expect(t, o, err, holdfast.OK, "", "objects")
		if o.Immutable == nil || *o.Immutable != c.immutable || !strings.HasPrefix(o.Facts["retention"], c.retention) {
			t.Errorf("%s: got immutable %v, %v, want %v and %q", c.prefix, o.Immutable, o.Facts, c.immutable, c.retention)
		}
		if o.Facts["versioning"] != "enabled" || !strings.HasPrefix(o.Facts["object_lock"], "on") {
			t.Errorf("%s: got %v, want versioning and object lock on", c.prefix, o.Facts)
		}
	}
	// It is really so: the store refuses to delete the version that is called immutable.
	versions, err := s.client.ListObjectVersions(t.Context(), &sdk.ListObjectVersionsInput{Bucket: &s.bucket, Prefix: aws.String("locked/")})
	must(t, err)
	_, err = s.client.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: &s.bucket, Key: aws.String("locked/1"), VersionId: versions.Versions[0].VersionId, BypassGovernanceRetention: aws.Bool(true)})
	if err == nil {
		t.Error("the store deleted an object under COMPLIANCE retention")
	}
	_, err = s.client.PutObjectLockConfiguration(t.Context(), &sdk.PutObjectLockConfigurationInput{Bucket: &s.bucket, ObjectLockConfiguration: &types.ObjectLockConfiguration{
		ObjectLockEnabled: types.ObjectLockEnabledEnabled, Rule: &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionModeCompliance, Days: aws.Int32(30)}}}})
	must(t, err)
	o, err := s.observe(t, m{"prefix": "none/"})
	expect(t, o, err, holdfast.OK, "", "1 objects")
	if want := "on, by default COMPLIANCE for 30 days"; !strings.HasPrefix(o.Facts["object_lock"], want) || *o.Immutable {
		t.Errorf("got %q, immutable %v, want %q and that it does not reach back", o.Facts["object_lock"], *o.Immutable, want)
	}
}

// TestPages lists more than one page, the newest in the middle.
func TestPages(t *testing.T) {
	s := newStore(t, false)
	dir := filepath.Join(gateway.Folder, s.bucket)
	for i := range 2300 {
		path := filepath.Join(dir, fmt.Sprintf("%04d", i))
		must(t, os.WriteFile(path, []byte("x"), 0o600))
		at := uploaded(100)
		if i == 1500 {
			at = uploaded(1)
		}
		must(t, os.Chtimes(path, at, at))
	}
	o, err := s.observe(t, nil)
	expect(t, o, err, holdfast.OK, "", "2300 objects, 2.2KiB, the newest 1500")
	if !o.RecoveryPoints[0].Time.Equal(uploaded(1)) {
		t.Errorf("got %v, want that of the 1,501st", o.RecoveryPoints)
	}
}

func TestCredentials(t *testing.T) {
	s := newStore(t, false)
	s.put(t, "a", 1, 1, "", time.Time{})
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "credentials")
		must(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	for _, c := range []struct {
		name, file string
		outcome    holdfast.Outcome
		reason     holdfast.Reason
		words      string
	}{
		{"without a heading", file(fmt.Sprintf("AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n", gateway.Access, gateway.Secret)), holdfast.OK, "", "1 objects"},
		{"wrong secret", file(string(keys("hunter2"))), holdfast.Failed, holdfast.Credential, "SignatureDoesNotMatch"},
		{"unknown key", file("aws_access_key_id=nobody\naws_secret_access_key=hunter2"), holdfast.Failed, holdfast.Credential, "does not take the keys"},
		{"missing", "/no/such/file", holdfast.OutcomeUnknown, holdfast.CredentialUnreadable, "no such file"},
		{"a folder", t.TempDir(), holdfast.OutcomeUnknown, holdfast.CredentialUnreadable, "not a regular file"},
		{"another profile", file("[other]\naws_access_key_id=a\naws_secret_access_key=hunter2"), holdfast.OutcomeUnknown, holdfast.CredentialUnreadable, "under [default]"},
		{"a program", file("[default]\ncredential_process = touch /tmp/hunter2"), holdfast.OutcomeUnknown, holdfast.CredentialUnreadable, "want lines"},
	} {
		o, err := s.observe(t, m{"credentials_file": c.file})
		expect(t, o, err, c.outcome, c.reason, c.words)
		if strings.Contains(fmt.Sprint(o, err), "hunter2") {
			t.Errorf("%s: a secret is told: %v %v", c.name, o, err)
		}
	}
}

func TestReach(t *testing.T) {
	s := newStore(t, false)
	s.put(t, "a", 1, 1, "", time.Time{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l.Close()
	status := func(code int, body string) string {
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}))
		t.Cleanup(front.Close)
		return front.URL
	}
	for _, c := range []struct {
		name, endpoint string
		outcome        holdfast.Outcome
		reason         holdfast.Reason
		words          string
	}{
		{"nobody listens", "http://" + l.Addr().String(), holdfast.Failed, holdfast.Unreachable, "refused"},
		{"no such host", "http://no-such-host.invalid", holdfast.Failed, holdfast.Unreachable, "no such host"},
		{"broken", status(500, ""), holdfast.Failed, holdfast.Unreachable, "status 500"},
		{"another region", status(301, "<Error><Code>PermanentRedirect</Code></Error>"), holdfast.OutcomeUnknown, "", "own region"},
		{"a clock", status(403, "<Error><Code>RequestTimeTooSkewed</Code></Error>"), holdfast.OutcomeUnknown, "", "clocks"},
		{"no S3", status(200, "hello"), holdfast.OutcomeUnknown, "", "does not answer as S3 does"},
		{"too much", status(200, strings.Repeat(" ", 9<<20)), holdfast.OutcomeUnknown, "", "longer than any"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := s.observe(t, m{"endpoint": c.endpoint})
			expect(t, o, err, c.outcome, c.reason, c.words)
		})
	}
}

// TestTLS has the store behind TLS, and a right that is missing.
func TestTLS(t *testing.T) {
	s := newStore(t, true)
	s.put(t, "a", 1, 1, types.ObjectLockModeCompliance, time.Now().Add(time.Hour))
	to, err := url.Parse(gateway.URL)
	must(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }}
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); q.Has("object-lock") || q.Has("versioning") || r.Method == http.MethodHead || q.Has("retention") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()
	t.Cleanup(front.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600))
	o, err := s.observe(t, m{"endpoint": front.URL, "ca_file": ca})
	expect(t, o, err, holdfast.OK, "", "1 objects")
	if o.Immutable != nil || !strings.HasPrefix(o.Facts["newest_object"], "not seen") || !strings.HasPrefix(o.Facts["object_lock"], "not seen") {
		t.Errorf("got immutable %v, %v, want nothing claimed that was not seen", o.Immutable, o.Facts)
	}
	o, err = s.observe(t, m{"endpoint": front.URL})
	expect(t, o, err, holdfast.Failed, holdfast.Unreachable, "certificate")
}

func TestSilence(t *testing.T) {
	s := newStore(t, false)
	l, err := net.Listen("tcp", "127.0.0.1:0") // whose callers nobody takes
	must(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	o, err := s3.Probes()[0].Observe(ctx, s.request(t, m{"endpoint": "http://" + l.Addr().String()}))
	expect(t, o, err, holdfast.OutcomeUnknown, holdfast.Timeout, "no answer in time")
}

func TestSettings(t *testing.T) {
	must(t, startGateway())
	s := &store{bucket: "b", credentials: "/etc/holdfast/s3"}
	for _, c := range []struct {
		more m
		want string
	}{
		{m{"bucket": "arn:aws:s3:x"}, "not a bucket's name"},
		{m{"bucket": ""}, "not a bucket's name"},
		{m{"region": "x.evil/"}, "not a region"},
		{m{"endpoint": "s3.example"}, "http or https"},
		{m{"endpoint": "http://a:hunter2@s"}, "holds a user or password"},
		{m{"credentials_file": "x"}, "not an absolute path"},
		{m{"ca_file": "x"}, "not an absolute path"},
		{m{"pattern": "[x"}, "not a pattern"},
	} {
		if _, err := s.observe(t, c.more); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: got %v, want %s", c.more, err, c.want)
		}
	}
}

func TestContract(t *testing.T) {
	s := newStore(t, false)
	s.put(t, "a", 1, 1, "", time.Time{})
	probetest.Run(t, s3.Probes()[0], s.request(t, nil), s.request(t, m{"bucket": "no-such-bucket"}))
}
