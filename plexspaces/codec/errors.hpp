// The domain codes of the codec. The HTTP edge answers kErrorMalformedJson with 400 and the other codes with 422.
#pragma once

#include <string_view>

namespace plexspaces {

inline constexpr std::string_view kErrorMalformedJson = "PLX-COD-0001";     // not JSON at all
inline constexpr std::string_view kErrorUnknownField = "PLX-COD-0002";      // a JSON key that the type does not have
inline constexpr std::string_view kErrorMissingField = "PLX-COD-0003";      // no value, and no default either
inline constexpr std::string_view kErrorWrongType = "PLX-COD-0004";         // text where a number belongs, ...
inline constexpr std::string_view kErrorOutOfRange = "PLX-COD-0005";        // a number that the C++ type cannot hold
inline constexpr std::string_view kErrorUnknownEnumValue = "PLX-COD-0006";  // a name or number that PLX_ENUM lacks
inline constexpr std::string_view kErrorDuplicateField = "PLX-COD-0007";    // a JSON key given twice
inline constexpr std::string_view kErrorTooDeep = "PLX-COD-0008";           // nested deeper than kNestingMax
inline constexpr std::string_view kErrorTooLarge = "PLX-COD-0009";          // more bytes than kPayloadBytesMax

inline constexpr std::string_view kErrorTruncated = "PLX-COD-0010";       // the bytes end inside a field
inline constexpr std::string_view kErrorOverlongVarint = "PLX-COD-0011";  // a number of more than 64 bits
inline constexpr std::string_view kErrorWrongWireType = "PLX-COD-0012";   // the field number has another kind
inline constexpr std::string_view kErrorBadTag = "PLX-COD-0013";          // field number 0, or a group
inline constexpr std::string_view kErrorInvalidUtf8 = "PLX-COD-0014";     // text that is not UTF-8
inline constexpr std::string_view kErrorProtobuf = "PLX-COD-0015";        // a protobuf class refused its input

inline constexpr std::string_view kErrorIncompatible = "PLX-COD-0030";    // check_compatible() found a difference
inline constexpr std::string_view kErrorBadDescription = "PLX-COD-0031";  // not what describe() writes

}  // namespace plexspaces
