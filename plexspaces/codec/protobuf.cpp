#include "plexspaces/codec/protobuf.hpp"

#include <limits>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include "plexspaces/base/limits.hpp"
#include "plexspaces/base/utf8.hpp"
#include "plexspaces/codec/errors.hpp"

namespace plexspaces::detail {

namespace {

std::unexpected<Error> refused(const google::protobuf::Message& message, std::string_view domain,
                               std::string_view why) {
  // Protobuf's words quote the input, and list each missing field of each element.
  std::string_view shown = text_prefix(why, kErrorTextBytesMax / 4);
  return fail(Code::kInvalidArgument,
              fmt::format("{}: {}{}", message.GetTypeName(), shown, shown.size() < why.size() ? "..." : ""), domain);
}

}  // namespace

Status encode_protobuf(const google::protobuf::Message& message, std::string& out) {
  if (!message.IsInitialized()) {
    return refused(message, kErrorMissingField, "missing " + message.InitializationErrorString());
  }
  std::size_t bytes = message.ByteSizeLong();
  if (bytes > kPayloadBytesMax) {
    return fail(
        Code::kResourceExhausted,
        fmt::format("{}: {} bytes, more than {} (kPayloadBytesMax)", message.GetTypeName(), bytes, kPayloadBytesMax),
        kErrorTooLarge);
  }
  if (!message.AppendToString(&out)) return refused(message, kErrorProtobuf, "protobuf could not write it");
  return {};
}

Status decode_protobuf(std::string_view bytes, google::protobuf::Message& message) {
  if (!message.ParsePartialFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return refused(message, kErrorProtobuf, "the bytes are not a message of this type");
  }
  if (!message.IsInitialized()) {
    return refused(message, kErrorMissingField, "missing " + message.InitializationErrorString());
  }
  return {};
}

void protobuf_to_json(const google::protobuf::Message& message, std::string& out) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  // Fails for an Any whose type is not linked in and for a time out of range; such a message has no JSON.
  if (!google::protobuf::util::MessageToJsonString(message, &json, options).ok()) json = "null";
  out += json;
}

Status protobuf_from_json(std::string_view json, google::protobuf::Message& message) {
  google::protobuf::util::Status status =
      google::protobuf::util::JsonStringToMessage({json.data(), json.size()}, &message);
  if (status.ok()) return {};
  std::string why(status.message().data(), status.message().size());
  return refused(message, kErrorProtobuf, why);
}

}  // namespace plexspaces::detail
