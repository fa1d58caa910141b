#include "plexspaces/behavior/gen_server.hpp"

#include <cstdint>
#include <string>

#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/codec/protobuf.hpp"
#include "plexspaces/env/posix/executor.hpp"

PLX_PROTOBUF_MESSAGE(google::protobuf::StringValue, google::protobuf::Int64Value);

namespace plexspaces {
namespace {

struct Reset {};
struct Total {
  using Reply = std::int64_t;
};
PLX_MESSAGE(Reset);
PLX_MESSAGE(Total);

// Plain structs and protobuf messages side by side.
class Lengths : public GenServer<Lengths, google::protobuf::StringValue, Reset, Total> {
 public:
  google::protobuf::Int64Value handle(const google::protobuf::StringValue& text, Context&) {
    total_ += static_cast<std::int64_t>(text.value().size());
    google::protobuf::Int64Value reply;
    reply.set_value(total_);
    return reply;
  }
  void handle(const Reset&, Context&) { total_ = 0; }
  std::int64_t handle(const Total&, Context&) const { return total_; }

 private:
  std::int64_t total_ = 0;
};

TEST(GenServerTest, ProtobufMessagesAreMessagesLikeDescribedStructs) {
  env::PosixExecutor executor({.workers = 1});
  Types types;
  Runtime runtime(executor, types);
  ASSERT_TRUE(runtime.start());
  auto lengths = runtime.spawn<Lengths>("");
  google::protobuf::StringValue text;
  text.set_value(std::string(100, 'x'));
  auto reply = lengths->ask(text, 5s);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->value(), 100);
  EXPECT_EQ(lengths->ask(Total{}, 5s), 100);
  EXPECT_TRUE(lengths->ask(Reset{}, 5s));
  EXPECT_EQ(lengths->ask(Total{}, 5s), 0);
  executor.stop();
}

TEST(GenServerTest, TheSizeOfAProtobufMessageCounts) {
  env::PosixExecutor executor({.workers = 1});
  Types types;
  Runtime runtime(executor, types, {.message_bytes_max = 1'000});
  ASSERT_TRUE(runtime.start());
  auto lengths = runtime.spawn<Lengths>("");
  google::protobuf::StringValue text;
  text.set_value(std::string(2'000, 'x'));
  EXPECT_EQ(lengths->tell(text).error().domain(), "PLX-ACT-0048");
  EXPECT_EQ(lengths->ask(text, 5s).error().domain(), "PLX-ACT-0048");
  EXPECT_EQ(lengths->ask(Total{}, 5s), 0);
  executor.stop();
}

TEST(GenServerTest, TheInterfaceSaysWhatEachHandlerIs) {
  auto handlers = Lengths::interface();
  ASSERT_EQ(handlers.size(), 3u);
  EXPECT_EQ(handlers[0].message->value->name, "google.protobuf.StringValue");
  EXPECT_FALSE(handlers[0].read);
  EXPECT_FALSE(handlers[1].read);
  EXPECT_TRUE(handlers[2].read);
  EXPECT_FALSE(handlers[2].waits);
  EXPECT_TRUE(Lengths::kHandles<Total>);
  EXPECT_FALSE(Lengths::kHandles<std::string>);
}

}  // namespace
}  // namespace plexspaces
