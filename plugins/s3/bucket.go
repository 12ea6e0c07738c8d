package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/plugins/probe/objects"
)

// objectsMax bounds how many objects are looked at: a thousand pages.
const objectsMax = 1_000_000

// bucket is the probe s3.objects.
type bucket struct{}

func (bucket) Describe() probe.Description {
	return probe.Description{
		Name:       "s3.objects",
		Observes:   "What an S3 bucket holds: the newest objects as recovery points, how many there are and their bytes, and whether the newest can be deleted.",
		Settings:   probe.Schema[settings](),
		Cost:       holdfast.IO,
		Privileges: holdfast.Privileges{Secrets: true, Note: "reads credentials_file; lists the bucket and writes nothing"},
		Target:     []string{"endpoint", "bucket", "prefix"},
		Secret:     []string{"credentials_file"},
		Reasons: []holdfast.Reason{holdfast.Empty, holdfast.NoMatch, holdfast.Missing, holdfast.Credential, holdfast.CredentialUnreadable,
			holdfast.Unreachable, holdfast.Timeout},
	}
}

func (bucket) Observe(ctx context.Context, r probe.Request) (probe.Observation, error) {
	s, err := decode(r.Settings)
	if err != nil {
		return probe.Observation{}, err
	}
	client, done, err := s.client()
	if err != nil {
		return probe.Observation{}, err
	}
	defer done()
	return probe.Verdict(s.look(ctx, client))
}

func (s settings) look(ctx context.Context, client *s3.Client) (probe.Observation, error) {
	o := probe.Observation{Outcome: holdfast.OK, Facts: map[string]string{}}
	began := time.Now()
	found := objects.New(s.Pattern, began)
	if err := s.list(ctx, client, found); err != nil {
		return o, s.fault(ctx, err)
	}
	found.Report(&o)
	if err := found.Fault(strings.TrimSuffix("bucket "+s.Bucket+" under "+s.Prefix, " under ")); err != nil {
		return o, err
	}
	versioned := s.versioning(ctx, client, &o)
	s.lock(ctx, client, &o)
	s.head(ctx, client, &o, found.Newest, versioned, began)
	if ctx.Err() != nil {
		return o, s.fault(ctx, ctx.Err())
	}
	return o, nil
}

// list counts every object under the prefix: S3 lists by name, never by time.
func (s settings) list(ctx context.Context, client *s3.Client, found *objects.Tally) error {
	n := 0
	for pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &s.Bucket, Prefix: &s.Prefix}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		if aws.ToString(page.Name) == "" { // any web page would pass for an empty bucket
			return errors.New("what answers there does not answer as S3 does")
		}
		for _, it := range page.Contents {
			if n++; n > objectsMax {
				return fmt.Errorf("more than %d objects under %q: narrow the prefix", objectsMax, s.Prefix)
			}
			found.Add(objects.Object{Name: aws.ToString(it.Key), Size: aws.ToInt64(it.Size), Changed: aws.ToTime(it.LastModified)})
		}
		probe.Progress(ctx, "list", int64(n), 0)
	}
	return nil
}

// versioning reports whether the bucket keeps versions. What cannot be seen is a fact
// and no failure: the objects are there.
func (s settings) versioning(ctx context.Context, client *s3.Client, o *probe.Observation) bool {
	got, err := client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &s.Bucket})
	switch {
	case err != nil:
		o.Facts["versioning"] = unseen(err)
		return false
	case got.Status == "":
		o.Facts["versioning"] = "off"
	default:
		o.Facts["versioning"] = strings.ToLower(string(got.Status))
	}
	return got.Status == types.BucketVersioningStatusEnabled
}

// lock notes the bucket's object lock and its default for new objects.
func (s settings) lock(ctx context.Context, client *s3.Client, o *probe.Observation) {
	got, err := client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &s.Bucket})
	switch {
	case codeOf(err) == "ObjectLockConfigurationNotFoundError" || codeOf(err) == "NotImplemented":
		o.Facts["object_lock"] = "off"
	case err != nil:
		o.Facts["object_lock"] = unseen(err)
	case got.ObjectLockConfiguration == nil || got.ObjectLockConfiguration.ObjectLockEnabled != types.ObjectLockEnabledEnabled:
		o.Facts["object_lock"] = "off"
	default:
		o.Facts["object_lock"] = "on, no default retention"
		if r := got.ObjectLockConfiguration.Rule; r != nil && r.DefaultRetention != nil {
			d := r.DefaultRetention
			o.Facts["object_lock"] = fmt.Sprintf("on, by default %s for %d days and %d years", d.Mode, aws.ToInt32(d.Days), aws.ToInt32(d.Years))
		}
	}
}

// head asks for what protects the newest object.
func (s settings) head(ctx context.Context, client *s3.Client, o *probe.Observation, key string, versioned bool, now time.Time) {
	got, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.Bucket, Key: &key})
	if err != nil {
		o.Facts["newest_object"] = unseen(err)
		return
	}
	if got.ServerSideEncryption != "" {
		yes := true
		o.Encrypted = &yes
		o.Facts["encryption"] = string(got.ServerSideEncryption)
	} else {
		o.Facts["encryption"] = "the store says of none; the content may still be encrypted"
	}
	if got.ObjectLockLegalHoldStatus == types.ObjectLockLegalHoldStatusOn {
		o.Facts["legal_hold"] = "on, which whoever has the right can lift"
	}
	mode, until, err := string(got.ObjectLockMode), aws.ToTime(got.ObjectLockRetainUntilDate), error(nil)
	if mode == "" { // also where the right to see it is missing
		mode, until, err = s.retention(ctx, client, key, got.VersionId)
	}
	if err != nil {
		o.Facts["retention"] = unseen(err)
		return
	}
	immutable := mode == string(types.ObjectLockModeCompliance) && until.After(now) && versioned
	o.Immutable = &immutable
	switch at := until.UTC().Format(time.RFC3339); {
	case mode == "":
		o.Facts["retention"] = "none"
	case !until.After(now):
		o.Facts["retention"] = fmt.Sprintf("%s, over since %s", mode, at)
	case mode == string(types.ObjectLockModeGovernance):
		o.Facts["retention"] = fmt.Sprintf("GOVERNANCE until %s, which whoever has the right can lift", at)
	default:
		o.Facts["retention"] = fmt.Sprintf("%s until %s", mode, at)
	}
	if until.After(now) {
		o.Measures = append(o.Measures, holdfast.Measure{Name: "retention_left_seconds", Value: until.Sub(now).Seconds(), Unit: "seconds"})
	}
}

// retention asks for an object's retention by itself; "" is none.
func (s settings) retention(ctx context.Context, client *s3.Client, key string, version *string) (mode string, until time.Time, err error) {
	got, err := client.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: &s.Bucket, Key: &key, VersionId: version})
	switch code := codeOf(err); {
	case code == "NoSuchObjectLockConfiguration", code == "ObjectLockConfigurationNotFoundError", code == "InvalidRequest", code == "NotImplemented":
		return "", until, nil
	case err != nil:
		return "", until, err
	case got.Retention == nil:
		return "", until, nil
	}
	return string(got.Retention.Mode), aws.ToTime(got.Retention.RetainUntilDate), nil
}
