// Drives a broker with franz-go as the suites ask: one verb a call, JSON on standard output.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const patience = 60 * time.Second

// record is a Kafka record as the suites write it: bytes in base64, null where there are none.
type record struct {
	Key       *string     `json:"key"`
	Value     *string     `json:"value"`
	Headers   [][2]string `json:"headers"`
	Partition int32       `json:"partition"`
	Offset    int64       `json:"offset"`
}

func encode(bytes []byte) *string {
	if bytes == nil {
		return nil
	}
	text := base64.StdEncoding.EncodeToString(bytes)
	return &text
}

func decode(text *string) []byte {
	if text == nil {
		return nil
	}
	bytes, err := base64.StdEncoding.DecodeString(*text)
	check(err)
	return bytes
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func print(value any) {
	text, err := json.Marshal(value)
	check(err)
	fmt.Println(string(text))
}

func main() {
	if len(os.Args) < 4 {
		check(errors.New("usage: conformance BOOTSTRAP VERB TOPIC [WORD...]"))
	}
	bootstrap, verb, topic, words := os.Args[1], os.Args[2], os.Args[3], os.Args[4:]
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	verbs := map[string]func(context.Context, string, string, []string){
		"create": create, "produce": produce, "read": read, "group": group, "times": times, "admin": admin,
		"rebalance": rebalance, "errors": refusals,
	}
	run, known := verbs[verb]
	if !known {
		check(fmt.Errorf("unknown verb %q", verb))
	}
	run(ctx, bootstrap, topic, words)
}

func client(bootstrap string, options ...kgo.Opt) *kgo.Client {
	made, err := kgo.NewClient(append(options, kgo.SeedBrokers(bootstrap))...)
	check(err)
	return made
}

func create(ctx context.Context, bootstrap, topic string, words []string) {
	partitions, err := strconv.Atoi(words[0])
	check(err)
	made := client(bootstrap)
	defer made.Close()
	answer, err := kadm.NewClient(made).CreateTopic(ctx, int32(partitions), 1, nil, topic)
	check(err)
	print(answer.NumPartitions)
}

// produce sends the records on standard input, with a codec and acks, and prints their offsets in order.
func produce(ctx context.Context, bootstrap, topic string, words []string) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	options := []kgo.Opt{
		kgo.ProducerBatchCompression(codecs[words[0]]), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5 * time.Millisecond),
	}
	switch words[1] {
	case "0":
		options = append(options, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	case "1":
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	}
	made := client(bootstrap, options...)
	defer made.Close()
	var records []*kgo.Record
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var given record
		check(json.Unmarshal(lines.Bytes(), &given))
		sent := &kgo.Record{Topic: topic, Partition: given.Partition, Key: decode(given.Key), Value: decode(given.Value)}
		for _, header := range given.Headers {
			sent.Headers = append(sent.Headers, kgo.RecordHeader{Key: header[0], Value: decode(&header[1])})
		}
		records = append(records, sent)
	}
	check(lines.Err())
	results := made.ProduceSync(ctx, records...)
	check(results.FirstErr())
	offsets := make([]int64, len(records))
	for index, sent := range records {
		offsets[index] = sent.Offset
	}
	print(offsets)
}

func printRecord(got *kgo.Record) {
	shown := record{Key: encode(got.Key), Value: encode(got.Value), Partition: got.Partition, Offset: got.Offset}
	for _, header := range got.Headers {
		shown.Headers = append(shown.Headers, [2]string{header.Key, base64.StdEncoding.EncodeToString(header.Value)})
	}
	print(shown)
}

// read prints the records of partition 0 from an offset on until there are as many as asked for.
func read(ctx context.Context, bootstrap, topic string, words []string) {
	start, err := strconv.ParseInt(words[0], 10, 64)
	check(err)
	count, err := strconv.Atoi(words[1])
	check(err)
	from := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(start)}}
	made := client(bootstrap, kgo.ConsumePartitions(from))
	defer made.Close()
	for count > 0 {
		fetches := made.PollFetches(ctx)
		check(fetches.Err())
		fetches.EachRecord(func(got *kgo.Record) {
			printRecord(got)
			count--
		})
	}
}

// group reads some records as a member of a group, commits them, and leaves.
func group(ctx context.Context, bootstrap, topic string, words []string) {
	count, err := strconv.Atoi(words[0])
	check(err)
	made := client(
		bootstrap, kgo.ConsumerGroup("group-"+topic), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	defer made.Close()
	for count > 0 {
		fetches := made.PollRecords(ctx, count)
		check(fetches.Err())
		fetches.EachRecord(func(got *kgo.Record) {
			printRecord(got)
			count--
		})
	}
	check(made.CommitUncommittedOffsets(ctx))
	check(made.LeaveGroupContext(ctx))
}

// rebalance lets two members of a group share a topic, cooperatively, then lets one go.
func rebalance(ctx context.Context, bootstrap, topic string, words []string) {
	partitions, err := strconv.Atoi(words[0])
	check(err)
	type change struct {
		member, delta int
	}
	changes := make(chan change, 100)
	count := func(assigned map[string][]int32) int { return len(assigned[topic]) }
	member := func(index int) *kgo.Client {
		made := client(
			bootstrap, kgo.ConsumerGroup("group-"+topic), kgo.ConsumeTopics(topic),
			kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.SessionTimeout(6*time.Second),
			kgo.HeartbeatInterval(200*time.Millisecond),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
				changes <- change{index, count(assigned)}
			}),
			kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, revoked map[string][]int32) {
				changes <- change{index, -count(revoked)}
			}),
		)
		go func() {
			for !made.PollFetches(ctx).IsClientClosed() && ctx.Err() == nil {
			}
		}()
		return made
	}
	var held [2]int
	until := func(first, second int) {
		for held != [2]int{first, second} {
			select {
			case seen := <-changes:
				held[seen.member] += seen.delta
			case <-ctx.Done():
				check(fmt.Errorf("held %v instead of %d and %d", held, first, second))
			}
		}
	}
	one := member(0)
	until(partitions, 0)
	two := member(1)
	until(partitions/2, partitions-partitions/2)
	one.Close()
	until(0, partitions)
	two.Close()
	print(held)
}

// times prints the offsets for timestamps, and the ends of the log.
func times(ctx context.Context, bootstrap, topic string, words []string) {
	made := client(bootstrap)
	defer made.Close()
	admin := kadm.NewClient(made)
	var found []int64
	for _, word := range words {
		at, err := strconv.ParseInt(word, 10, 64)
		check(err)
		offsets, err := admin.ListOffsetsAfterMilli(ctx, at, topic)
		check(err)
		check(offsets.Error())
		offset, _ := offsets.Lookup(topic, 0)
		found = append(found, offset.Offset)
	}
	for _, list := range []func(context.Context, ...string) (kadm.ListedOffsets, error){
		admin.ListStartOffsets, admin.ListEndOffsets, admin.ListCommittedOffsets, admin.ListMaxTimestampOffsets,
	} {
		offsets, err := list(ctx, topic)
		check(err)
		offset, _ := offsets.Lookup(topic, 0)
		found = append(found, offset.Offset)
	}
	print(found)
}

// admin walks through the admin APIs and prints what it saw.
func admin(ctx context.Context, bootstrap, topic string, _ []string) {
	made := client(bootstrap)
	defer made.Close()
	admin := kadm.NewClient(made)
	seen := map[string]any{}
	_, err := admin.CreatePartitions(ctx, 2, topic)
	check(err)
	topics, err := admin.ListTopics(ctx, topic)
	check(err)
	seen["partitions"] = len(topics[topic].Partitions)
	value := "123456"
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, topic)
	check(err)
	check(altered[0].Err)
	configs, err := admin.DescribeTopicConfigs(ctx, topic)
	check(err)
	var names []string
	for _, config := range configs[0].Configs {
		names = append(names, config.Key)
		if config.Key == "retention.ms" {
			seen["retention.ms"] = config.MaybeValue()
			seen["source"] = config.Source.String()
		}
	}
	sort.Strings(names)
	seen["names"] = len(names) > 20
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 3, LeaderEpoch: -1, Metadata: "noted"})
	check(admin.CommitAllOffsets(ctx, "admin-"+topic, offsets))
	fetched, err := admin.FetchOffsets(ctx, "admin-"+topic)
	check(err)
	offset, _ := fetched.Lookup(topic, 0)
	seen["committed"], seen["metadata"] = offset.At, offset.Metadata
	groups, err := admin.DescribeGroups(ctx, "admin-"+topic)
	check(err)
	seen["group"] = groups["admin-"+topic].State
	deleted, err := admin.DeleteGroup(ctx, "admin-"+topic)
	check(err)
	check(deleted.Err)
	records := kadm.Offsets{}
	records.Add(kadm.Offset{Topic: topic, Partition: 0, At: 5})
	shortened, err := admin.DeleteRecords(ctx, records)
	check(err)
	low, _ := shortened.Lookup(topic, 0)
	check(low.Err)
	seen["low watermark"] = low.LowWatermark
	print(seen)
}

// refusals prints the names of the errors that mistakes are answered with.
func refusals(ctx context.Context, bootstrap, topic string, _ []string) {
	made := client(bootstrap, kgo.ProducerBatchMaxBytes(16<<20), kgo.UnknownTopicRetries(0), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer made.Close()
	admin := kadm.NewClient(made)
	name := func(err error) string {
		var known *kerr.Error
		if errors.As(err, &known) {
			return known.Message
		}
		return fmt.Sprint(err)
	}
	seen := map[string]string{}
	_, err := admin.CreateTopic(ctx, 1, 1, nil, topic)
	seen["exists"] = name(err)
	_, err = admin.CreateTopic(ctx, 1, 1, nil, "no name")
	seen["name"] = name(err)
	_, err = admin.CreateTopic(ctx, 1, 3, nil, topic+"-replicas")
	seen["replicas"] = name(err)
	_, err = admin.DeleteTopic(ctx, topic+"-unknown")
	seen["unknown"] = name(err)
	large := &kgo.Record{Topic: topic, Value: make([]byte, 3<<20)}
	seen["large"] = name(made.ProduceSync(ctx, large).FirstErr())
	lost := &kgo.Record{Topic: topic + "-unknown", Value: []byte("x")}
	seen["produce to unknown"] = name(made.ProduceSync(ctx, lost).FirstErr())
	print(seen)
}
