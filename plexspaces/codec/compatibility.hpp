// Whether stored bytes outlive a change of the types that read them.
#pragma once

#include <string>
#include <string_view>

#include "plexspaces/base/error.hpp"
#include "plexspaces/codec/value_type.hpp"

namespace plexspaces {

/// What a description says, as lines of text to keep under version control, with the types that it uses:
///
///     message Order
///       1 sku string
///       2 reserved
///       3 quantity required int32
///       4 lines list message Line
///       5 color optional enum Color
///     enum Color
///       1 kRed
///       2 kGreen
///     message Line
///       ...
///
/// The message itself comes first, the others in the order in which they are met; of two types with one registered name
/// the second is called "Line#2". The same description gives the same text in every program.
std::string describe(const MessageDescription& message);

/// Compares what describe() returned earlier, and was recorded, with what it returns now: can bytes that the recorded
/// type wrote be read by the current one, and with the same meaning?
///
/// Compatible: a new optional field, one with a default or a list; a reserved number more; a new enum value; another
/// name for a field, an enum value or a nested type (bytes hold numbers only; callers of the JSON do see new names); a
/// required field that is no more required.
/// Incompatible: another kind under a number; a removed field whose number is not reserved; a reserved number that is
/// used, or reserved no more; a new required field, or one that becomes required; a removed enum value; another
/// registered name of the message itself.
/// @error kErrorIncompatible: lists every difference of the second sort. kErrorBadDescription: a text is not
/// describe()'s.
[[nodiscard]] Status check_compatible(std::string_view recorded, std::string_view current);

}  // namespace plexspaces
